//! Exit status and the words that go with it.
use crate::bee::{ApiError, BatchError, JournalError, UploadError};
use crate::check::CheckError;
use crate::describe::DescribeError;
use crate::disk::DiskError;
use crate::feed::FeedUpdateError;
use crate::fetch::{DownloadError, FetchError};
use crate::list::ListError;
use crate::locate::LocateError;
use crate::output::OutputError;
use crate::previous::{ChunksError, PreviousError};
use crate::publish::{PublishError, ToBeeError};
use crate::secret::SecretError;
use crate::source::{ChunkSetError, SourceError};
use client::RunError;
use content::feed::FeedError;
use content::mantaray::MantarayError;
use std::process::ExitCode;
use storer::devnet::DevnetError;
use swarm::ChunkFailure;

/// How the program ended. The numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0
    Ok,
    /// 1: the input is wrong or the operating system refuses.
    Failed,
    /// 2: the command line is wrong.
    Usage,
    /// 3: a chunk or path is not there.
    NotFound,
    /// 4: no peer could be reached.
    NoPeers,
    /// 5: a deadline passed.
    TimedOut,
    /// 6: what is there is not what it claims to be, or over a limit.
    BadContent,
    /// 130: stopped by a signal.
    Interrupted,
}

impl ExitStatus {
    /// The number the shell sees.
    pub fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::NoPeers => 4,
            Self::TimedOut => 5,
            Self::BadContent => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.number())
    }
}

/// An error as the user sees it: what happened, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Exit status.
    pub status: ExitStatus,
    /// What happened, where.
    pub message: String,
    /// The next step, where there is one that the message does not name.
    pub hint: Option<&'static str>,
}

impl Failure {
    /// Makes a failure without a hint.
    pub fn new(status: ExitStatus, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            hint: None,
        }
    }

    /// Adds the next step.
    #[must_use]
    pub fn with_hint(self, hint: &'static str) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }

    /// Prints the failure to standard error and, with `--json`, as an object to standard output.
    pub(super) fn print(&self, json: bool) {
        use std::io::Write;
        // Nobody can be told when both streams are closed.
        let _ = writeln!(std::io::stderr(), "deboot: {}", self.message);
        if let Some(hint) = self.hint {
            let _ = writeln!(std::io::stderr(), "  next: {hint}");
        }
        if json {
            let _ = writeln!(std::io::stdout(), "{:#}", super::error_json(self));
        }
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        Self::new(ExitStatus::Failed, error.to_string())
    }
}

impl From<ChunkSetError> for Failure {
    fn from(error: ChunkSetError) -> Self {
        let status = match &error {
            ChunkSetError::Open { .. } => ExitStatus::Failed,
            ChunkSetError::Archive { .. } | ChunkSetError::TooLarge(_) => ExitStatus::BadContent,
        };
        Self::new(status, error.to_string())
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let failure = Self::new(ExitStatus::Failed, error.to_string());
        match error {
            PublishError::Manifest(_) => {
                failure.with_hint("correct the field and check the file with `deboot check`")
            }
            _ => failure,
        }
    }
}

impl From<DescribeError> for Failure {
    fn from(error: DescribeError) -> Self {
        Self::new(ExitStatus::Failed, error.to_string()).with_hint(
            "docs/publish.md is the reference; a file that only looks like a description is published with --plain",
        )
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::new(ExitStatus::Failed, error.to_string())
    }
}

impl From<SourceError<FeedError>> for Failure {
    fn from(error: SourceError<FeedError>) -> Self {
        match error {
            // That an update is missing is the answer, and says more than which chunk it was.
            SourceError::Missing(_, error)
            | SourceError::Consumer(error)
            | SourceError::Network(
                RunError::Consumer(error) | RunError::Unavailable { error, .. },
            ) => from_feed(&error),
            error => from_source(&error, error.to_string(), |_| ExitStatus::NotFound),
        }
    }
}

fn from_feed(error: &FeedError) -> Failure {
    let (status, hint) = match error {
        FeedError::NoUpdate { .. } => (
            ExitStatus::NotFound,
            "check owner and topic; the update may not be spread yet, or its postage may have run out",
        ),
        FeedError::Older { .. } | FeedError::Gone { .. } => (
            ExitStatus::BadContent,
            "try again with other peers; without --at-least the older update is shown",
        ),
        _ => (ExitStatus::BadContent, "try other peers"),
    };
    Failure::new(status, error.to_string()).with_hint(hint)
}

const INDEX_HINT: &str = "give index 0 (--feed-index, --index) if it was never updated, else the number behind its newest update";

impl From<FeedUpdateError> for Failure {
    fn from(error: FeedUpdateError) -> Self {
        let message = error.to_string();
        match error {
            FeedUpdateError::Api(error) => from_api(&error, message),
            FeedUpdateError::Unknown { .. } => {
                Self::new(ExitStatus::NotFound, message).with_hint(INDEX_HINT)
            }
            FeedUpdateError::Stopped => Self::new(ExitStatus::Interrupted, message),
            FeedUpdateError::NobodyKnows { .. } => {
                Self::new(ExitStatus::Usage, message).with_hint(INDEX_HINT)
            }
            _ => Self::new(ExitStatus::Failed, message),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::new(ExitStatus::Failed, error.to_string())
    }
}

impl From<ToBeeError> for Failure {
    fn from(error: ToBeeError) -> Self {
        let message = error.to_string();
        match error {
            ToBeeError::Publish(error) => error.into(),
            ToBeeError::Api(error) => from_api(&error, message),
            ToBeeError::Upload { source, .. } => match source {
                UploadError::Api(error) => from_api(&error, message),
                UploadError::Journal(_) => Self::new(ExitStatus::Failed, message),
                UploadError::Stopped => Self::new(ExitStatus::Interrupted, message),
            },
            ToBeeError::Batch { source, .. } => {
                Self::new(ExitStatus::Failed, message).with_hint(batch_hint(&source))
            }
            ToBeeError::Journal(_) | ToBeeError::TooLarge => {
                Self::new(ExitStatus::Failed, message)
            }
            ToBeeError::NotSpread { .. } => Self::new(ExitStatus::TimedOut, message).with_hint(
                "the node goes on in the background; GET /tags/UID shows how far it is, the same command with a longer --wait waits for it",
            ),
            ToBeeError::NothingToWaitFor => Self::new(ExitStatus::Failed, message)
                .with_hint("leave --wait out, or send everything again with --fresh"),
            ToBeeError::Stopped => Self::new(ExitStatus::Interrupted, message),
        }
    }
}

fn from_api(error: &ApiError, message: String) -> Failure {
    let status = match error {
        ApiError::Refused { .. } | ApiError::Transport { .. } => ExitStatus::NoPeers,
        ApiError::TimedOut { .. } => ExitStatus::TimedOut,
        ApiError::Status { status: 404, .. } => ExitStatus::NotFound,
        ApiError::Status { .. } => ExitStatus::Failed,
        ApiError::Answer { .. } | ApiError::Reference { .. } => ExitStatus::BadContent,
    };
    Failure::new(status, message).with_hint(error.hint())
}

fn batch_hint(error: &BatchError) -> &'static str {
    match error {
        BatchError::NotUsable => {
            "wait a few minutes after buying it; GET /stamps shows whether it is usable"
        }
        BatchError::TimeToLive { .. } => {
            "top it up (PATCH /stamps/topup/ID/AMOUNT), give another --batch, or a smaller --min-ttl"
        }
        BatchError::Full { .. } | BatchError::OverwritesItself { .. } => {
            "dilute it to the depth above (PATCH /stamps/dilute/ID/DEPTH; its life shortens), or give another --batch"
        }
        BatchError::Overwrites { .. } => {
            "dilute it to the depth above (PATCH /stamps/dilute/ID/DEPTH), give another --batch, or --overwrite if older content may go"
        }
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        Self::new(ExitStatus::Failed, error.to_string())
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        let hint = match &error {
            DiskError::Efi { .. } => "give --efi the SWFETCH.EFI that was built for the target",
            DiskError::TooSmall { .. } => "give a larger --size, or leave it out",
            _ => return Self::new(ExitStatus::Failed, error.to_string()),
        };
        Self::new(ExitStatus::Failed, error.to_string()).with_hint(hint)
    }
}

impl From<DevnetError> for Failure {
    fn from(error: DevnetError) -> Self {
        Self::new(ExitStatus::Failed, error.to_string())
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        let message = error.to_string();
        match error {
            ListError::Directory(source) => from_source(&source, message, mantaray_status),
            ListError::Sizes(source) => from_source(&source, message, |never| match *never {}),
        }
    }
}

impl From<PreviousError> for Failure {
    fn from(error: PreviousError) -> Self {
        let message = error.to_string();
        match error {
            PreviousError::Locate(error) => Self {
                message,
                ..error.into()
            },
            PreviousError::Directory(source) => from_source(&source, message, mantaray_status),
            PreviousError::File(source) => from_source(&source, message, |error| match error {
                ChunksError::Unavailable(_) => ExitStatus::NotFound,
                ChunksError::Malformed { .. } | ChunksError::TooLarge => ExitStatus::BadContent,
            }),
        }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        let message = error.to_string();
        match error {
            FetchError::Locate(error) => error.into(),
            FetchError::Download(source) => from_source(&source, message, |error| match error {
                DownloadError::Join(_) => ExitStatus::BadContent,
                DownloadError::Write(_) => ExitStatus::Failed,
            }),
            FetchError::Range { .. } => Self::new(ExitStatus::NotFound, message),
            FetchError::Output(_) | FetchError::Stdout(_) => Self::new(ExitStatus::Failed, message),
        }
    }
}

impl From<LocateError> for Failure {
    fn from(error: LocateError) -> Self {
        let message = error.to_string();
        match error {
            LocateError::Lookup { source, .. } => from_source(&source, message, mantaray_status),
            LocateError::Feed(source) => (*source).into(),
            LocateError::OnlyErrorDocument { .. } => from_consumer(ExitStatus::NotFound, message),
            LocateError::NoContent { .. } | LocateError::NoIndexDocument => {
                Self::new(ExitStatus::NotFound, message)
            }
        }
    }
}

fn mantaray_status(error: &MantarayError) -> ExitStatus {
    match error {
        MantarayError::NotFound => ExitStatus::NotFound,
        MantarayError::PathTooLong { .. } => ExitStatus::Usage,
        _ => ExitStatus::BadContent,
    }
}

fn from_source<E>(
    error: &SourceError<E>,
    message: String,
    consumer: impl Fn(&E) -> ExitStatus,
) -> Failure {
    let (status, hint) = match error {
        SourceError::Network(error) => return from_run(error, message, consumer),
        SourceError::Consumer(error) => return from_consumer(consumer(error), message),
        SourceError::Missing(..) => (
            ExitStatus::NotFound,
            "the set is incomplete or belongs to another reference; fetch from peers, or give all sets with --chunks",
        ),
        SourceError::Local(_) => return Failure::new(ExitStatus::Failed, message),
        SourceError::Stopped => return Failure::new(ExitStatus::Interrupted, message),
        SourceError::Starved => return Failure::new(ExitStatus::BadContent, message),
    };
    Failure::new(status, message).with_hint(hint)
}

fn from_consumer(status: ExitStatus, message: String) -> Failure {
    let failure = Failure::new(status, message);
    match status {
        ExitStatus::NotFound => failure.with_hint("`deboot ls` shows the paths of the directory"),
        _ => failure,
    }
}

fn from_run<E>(
    error: &RunError<E>,
    message: String,
    consumer: impl Fn(&E) -> ExitStatus,
) -> Failure {
    let (status, hint) = match error {
        RunError::Consumer(error) => return from_consumer(consumer(error), message),
        RunError::Unavailable { failure, .. } => {
            let status = match failure {
                ChunkFailure::TimedOut { .. } => ExitStatus::TimedOut,
                _ => ExitStatus::NotFound,
            };
            (
                status,
                "check the reference and --network-id; the content may be gone or not yet spread: try again, or publish it again",
            )
        }
        RunError::NoPeers { .. } => (
            ExitStatus::NoPeers,
            "check the network, DNS and firewall (TCP 1634 outwards), --network-id, or name a node with --peer",
        ),
        RunError::TimedOut { .. } => (ExitStatus::TimedOut, "give a longer --timeout"),
        RunError::Stopped => return Failure::new(ExitStatus::Interrupted, message),
        RunError::EventQueue(_) => return Failure::new(ExitStatus::Failed, message),
        RunError::Starved => return Failure::new(ExitStatus::BadContent, message),
    };
    Failure::new(status, message).with_hint(hint)
}

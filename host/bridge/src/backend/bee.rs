//! A bee node's HTTP API.
use super::Backend;
use crate::FetchError;
use bmt::{CHUNK_DATA_BYTES_MAX, ChunkAddress, VerifiedChunk};
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

/// Idle connections to the node.
const IDLE_MAX: usize = 32;

/// Why an address of a bee node is refused.
#[derive(Debug, thiserror::Error)]
pub enum BeeError {
    /// Not a URL.
    #[error("{0:?} is no URL: expected something like http://localhost:1633")]
    Url(String),
    /// TLS.
    #[error(
        "{0:?}: only http:// is supported; the API of a bee node belongs on the same machine or network"
    )]
    Scheme(String),
}

/// Asks `GET /chunks/<address>` of a bee node.
pub struct Bee {
    base: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Bee {
    /// Checks the URL; the node is asked with the first chunk.
    ///
    /// # Errors
    /// See [`BeeError`].
    pub fn new(url: &str) -> Result<Self, BeeError> {
        let uri: Uri = url.parse().map_err(|_| BeeError::Url(url.to_owned()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(BeeError::Scheme(url.to_owned())),
            None => return Err(BeeError::Url(url.to_owned())),
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Ok(Self {
            base: url.trim_end_matches('/').to_owned(),
            client,
        })
    }

    async fn get(&self, address: ChunkAddress) -> Result<VerifiedChunk, FetchError> {
        let failed = |what: String| FetchError::Unavailable(format!("bee: {what}"));
        let uri: Uri = format!("{}/chunks/{address}", self.base)
            .parse()
            .map_err(|error| failed(format!("{error}")))?;
        let answer = self.client.get(uri).await;
        let answer = answer.map_err(|error| failed(describe(&error)))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), 4 * CHUNK_DATA_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| failed(error.to_string()))?
            .to_bytes();
        match status {
            StatusCode::OK => VerifiedChunk::verify(address, body.to_vec())
                .map_err(|error| failed(error.to_string())),
            StatusCode::NOT_FOUND => Err(FetchError::NotFound),
            _ => {
                let text = String::from_utf8_lossy(&body);
                let text: String = text.chars().take(200).collect();
                Err(failed(format!("{status} {text}")))
            }
        }
    }
}

impl Backend for Bee {
    fn chunk(&self, address: ChunkAddress) -> BoxFuture<'_, Result<VerifiedChunk, FetchError>> {
        self.get(address).boxed()
    }
}

impl std::fmt::Debug for Bee {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bee({})", self.base)
    }
}

/// An error with its causes: the first one alone says "client error (Connect)".
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        assert!(Bee::new("http://localhost:1633/").is_ok());
        assert!(matches!(Bee::new("https://a"), Err(BeeError::Scheme(_))));
        assert!(matches!(
            Bee::new("localhost:1633"),
            Err(BeeError::Url(_) | BeeError::Scheme(_))
        ));
        assert!(matches!(Bee::new("http://a b"), Err(BeeError::Url(_))));
    }
}

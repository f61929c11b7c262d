//! The first line of every answer.
use crate::Code;
use crate::json::{self, JsonError, Value};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Longest line of an answer, the newline included. Stops a bridge that never ends it.
pub const HEAD_BYTES_MAX: usize = 1024;
/// Longest words written; longer ones are cut, so that the line fits even if each byte has to be escaped with a backslash.
const WORDS_BYTES_MAX: usize = 448;

/// What a bridge says before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The content follows.
    Ok {
        /// Bytes of the file. Always there for files; for chunks only when it is known before the first one.
        size: Option<u64>,
    },
    /// Nothing follows.
    Error {
        /// The stable code; `None` when there was none, or one that is unknown here.
        code: Option<Code>,
        /// Words for people.
        error: String,
    },
}

/// Why a line is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// It does not end.
    #[error("the answer's first line has more than {HEAD_BYTES_MAX} bytes")]
    TooLong,
    /// It is no JSON object.
    #[error("the answer is no JSON object: {0}")]
    Json(JsonError),
    /// It says neither yes nor no.
    #[error("the answer has no field \"ok\" that is true or false")]
    NoOk,
    /// A size that is no number.
    #[error("the answer's field \"size\" must be a whole number that is not negative")]
    Size,
}

impl Answer {
    /// Makes an error.
    pub fn error(code: Code, words: &str) -> Self {
        let mut error = String::new();
        for character in words.chars() {
            // In words for people a space does for what would need a longer escape.
            let character = if character.is_control() {
                ' '
            } else {
                character
            };
            if error.len().saturating_add(character.len_utf8()) > WORDS_BYTES_MAX {
                break;
            }
            error.push(character);
        }
        Self::Error {
            code: Some(code),
            error,
        }
    }

    /// Reads an answer from the front of what was received; returns it with the bytes it took, or `None` when more is needed.
    ///
    /// `is_end` says that nothing more will come, which ends the line as a newline does.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn decode(received: &[u8], is_end: bool) -> Result<Option<(Self, usize)>, AnswerError> {
        let window = received.get(..HEAD_BYTES_MAX).unwrap_or(received);
        let (line, used) = match window.iter().position(|byte| *byte == b'\n') {
            Some(end) => (window.get(..end).unwrap_or(&[]), end.saturating_add(1)),
            None if received.len() >= HEAD_BYTES_MAX => return Err(AnswerError::TooLong),
            None if is_end && !received.is_empty() => (received, received.len()),
            None => return Ok(None),
        };
        Self::parse(line).map(|answer| Some((answer, used)))
    }

    fn parse(line: &[u8]) -> Result<Self, AnswerError> {
        let mut ok = None;
        let mut size = None;
        let mut code = None;
        let mut error = String::new();
        for (name, value) in json::object(line).map_err(AnswerError::Json)? {
            match (name.as_str(), value) {
                ("ok", Value::Bool(value)) => ok = Some(value),
                ("size", Value::Number(number)) => size = Some(number),
                ("size", Value::Null) => {}
                ("size", _) => return Err(AnswerError::Size),
                ("code", Value::Text(text)) => code = Code::from_text(&text),
                ("error", Value::Text(text)) => error = text,
                _ => {}
            }
        }
        match ok {
            Some(true) => Ok(Self::Ok { size }),
            Some(false) => Ok(Self::Error { code, error }),
            None => Err(AnswerError::NoOk),
        }
    }

    /// Appends the answer as a line, newline included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let text = match self {
            Self::Ok { size: Some(size) } => format!("{{\"ok\":true,\"size\":{size}}}\n"),
            Self::Ok { size: None } => String::from("{\"ok\":true}\n"),
            Self::Error { code, error } => {
                let mut text = String::from("{\"ok\":false,\"error\":");
                json::push_text(&mut text, error);
                if let Some(code) = code {
                    text.push_str(",\"code\":");
                    json::push_text(&mut text, code.as_str());
                }
                text.push_str("}\n");
                text
            }
        };
        out.extend_from_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec;

    fn encoded(answer: &Answer) -> Vec<u8> {
        let mut out = Vec::new();
        answer.encode(&mut out);
        out
    }

    #[test]
    fn answers_are_written_as_documented_and_read_back_over_every_split() {
        for (answer, text) in [
            (Answer::Ok { size: Some(42) }, "{\"ok\":true,\"size\":42}\n"),
            (Answer::Ok { size: None }, "{\"ok\":true}\n"),
            (
                Answer::error(Code::NotFound, "not found"),
                "{\"ok\":false,\"error\":\"not found\",\"code\":\"not-found\"}\n",
            ),
        ] {
            let mut bytes = encoded(&answer);
            assert_eq!(bytes, text.as_bytes());
            bytes.extend_from_slice(b"raw\n");
            for len in 0..text.len() {
                assert_eq!(Answer::decode(&bytes[..len], false), Ok(None), "{len}");
            }
            assert_eq!(
                Answer::decode(&bytes, false),
                Ok(Some((answer, text.len())))
            );
        }
    }

    #[test]
    fn answers_of_other_bridges_are_understood() {
        let read = |text: &[u8]| Answer::decode(text, true);
        assert_eq!(
            read(br#"{ "size": 7, "ok": true, "note": {"a": [1]} }"#)
                .unwrap()
                .unwrap()
                .0,
            Answer::Ok { size: Some(7) }
        );
        assert_eq!(
            read(br#"{"ok":false,"error":"not found"}"#)
                .unwrap()
                .unwrap()
                .0,
            Answer::Error {
                code: None,
                error: "not found".to_string()
            }
        );
        assert_eq!(
            read(br#"{"ok":false,"code":"new-code"}"#)
                .unwrap()
                .unwrap()
                .0,
            Answer::Error {
                code: None,
                error: std::string::String::new()
            }
        );
        assert_eq!(read(b""), Ok(None));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let read = |text: &[u8]| Answer::decode(text, false).unwrap_err();
        assert_eq!(read(b"{}\n"), AnswerError::NoOk);
        assert_eq!(read(b"{\"ok\":1}\n"), AnswerError::NoOk);
        assert_eq!(read(b"{\"ok\":true,\"size\":-1}\n"), AnswerError::Size);
        assert_eq!(read(b"{\"ok\":true,\"size\":\"1\"}\n"), AnswerError::Size);
        assert!(matches!(read(b"HTTP/1.1 400\n"), AnswerError::Json(_)));
        assert_eq!(read(&vec![b' '; 1024]), AnswerError::TooLong);
        let mut late = vec![b' '; 1024];
        late.push(b'\n');
        assert_eq!(read(&late), AnswerError::TooLong);
    }

    #[test]
    fn long_words_are_cut_to_fit() {
        for words in ["\u{e9}\"", "\"", "\\", "\n", "\u{7}"] {
            let answer = Answer::error(Code::ShuttingDown, &words.repeat(10_000));
            let bytes = encoded(&answer);
            assert!(bytes.len() <= HEAD_BYTES_MAX, "{}", bytes.len());
            assert_eq!(Answer::decode(&bytes, false).unwrap().unwrap().0, answer);
        }
    }
}

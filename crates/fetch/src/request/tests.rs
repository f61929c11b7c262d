use super::*;
use std::string::ToString;
use std::vec::Vec;

const HEX: &str = "27913f1bdb6e8e52cbd5a5fd4ab577c857287edf6969b41efe926b51de0f4f23";

fn decode(text: &str) -> Result<Request, RequestError> {
    Request::decode(text.replace("HEX", HEX).as_bytes())
}

#[test]
fn the_documented_requests_are_read() {
    let plain: Reference = HEX.parse().unwrap();
    let request = decode(r#"{"type":"manifest","hash":"HEX"}"#).unwrap();
    assert_eq!(request, Request::new(Kind::Manifest, plain));
    for name in ["hash", "manifestHash", "manifest-hash"] {
        let request = decode(&std::format!(
            r#" {{ "{name}" : "HEX/a/b.json", "type" : "artifact", "extra": [1] }} "#
        ));
        assert_eq!(request.unwrap().path.as_deref(), Some("a/b.json"));
    }
    let request = decode(r#"{"type":"chunks","hash":"bzz://HEX","path":"/a","from":17}"#).unwrap();
    assert_eq!(
        request,
        Request {
            kind: Kind::Chunks,
            reference: plain,
            path: Some("a".to_string()),
            from: 17
        }
    );
    let request = decode(r#"{"type":"artifact","hash":"HEXHEX/","path":null,"from":0}"#).unwrap();
    assert!(request.reference.key.is_some() && request.path.is_none());
}

#[test]
fn a_written_request_reads_back() {
    let reference: Reference = std::format!("{HEX}{HEX}").parse().unwrap();
    for (path, from) in [(None, 0), (Some("ä \"b\"\\c"), 0), (Some("x"), u64::MAX)] {
        let request = Request {
            kind: Kind::Chunks,
            reference,
            path: path.map(ToString::to_string),
            from,
        };
        let encoded = request.encode();
        let line = Request::line(&encoded, false).unwrap().unwrap();
        assert_eq!(Request::decode(line), Ok(request));
    }
    let request = Request::new(Kind::Artifact, HEX.parse().unwrap());
    let expected = std::format!("{{\"type\":\"artifact\",\"hash\":\"{HEX}\"}}\n");
    assert_eq!(request.encode(), expected.as_bytes());
}

#[test]
fn wrong_requests_have_their_code() {
    let long = "x".repeat(PATH_BYTES_MAX + 1);
    let long = std::format!(r#"{{"type":"chunks","hash":"HEX","path":"{long}"}}"#);
    for (text, code) in [
        ("", Code::BadRequest),
        ("null", Code::BadRequest),
        ("{}", Code::BadRequest),
        (r#"{"type":"chunks"}"#, Code::BadRequest),
        (r#"{"hash":"HEX"}"#, Code::BadRequest),
        (r#"{"type":7,"hash":"HEX"}"#, Code::BadRequest),
        (r#"{"type":"chunks","hash":7}"#, Code::BadRequest),
        (
            r#"{"type":"chunks","hash":"HEX","manifestHash":"HEX"}"#,
            Code::BadRequest,
        ),
        (
            r#"{"type":"chunks","hash":"HEX","path":7}"#,
            Code::BadRequest,
        ),
        (
            r#"{"type":"chunks","hash":"HEX/a","path":"b"}"#,
            Code::BadRequest,
        ),
        (
            r#"{"type":"chunks","hash":"HEX","from":-1}"#,
            Code::BadRequest,
        ),
        (
            r#"{"type":"chunks","hash":"HEX","from":"1"}"#,
            Code::BadRequest,
        ),
        (
            r#"{"type":"artifact","hash":"HEX","from":1}"#,
            Code::BadRequest,
        ),
        (long.as_str(), Code::BadRequest),
        (r#"{"type":"Chunks","hash":"HEX"}"#, Code::UnknownType),
        (r#"{"type":"blob","hash":"HEX"}"#, Code::UnknownType),
        (r#"{"type":"chunks","hash":""}"#, Code::BadHash),
        (r#"{"type":"chunks","hash":"HEX0"}"#, Code::BadHash),
        (r#"{"type":"chunks","hash":"zz"}"#, Code::BadHash),
        (r#"{"type":"chunks","hash":"/HEX"}"#, Code::BadHash),
    ] {
        let error = decode(text).expect_err(text);
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn a_request_ends_with_a_newline_or_with_the_stream_or_is_too_long() {
    let whole = b"{\"a\":1}\nrest";
    for len in 0..=whole.len() {
        let expected = (len >= 8).then_some(&whole[..7]);
        assert_eq!(Request::line(&whole[..len], false), Ok(expected), "{len}");
    }
    assert_eq!(Request::line(b"{}", true), Ok(Some(&b"{}"[..])));
    assert_eq!(Request::line(b"", true), Ok(Some(&b""[..])));
    let mut most: Vec<u8> = std::vec![b' '; REQUEST_BYTES_MAX - 1];
    assert_eq!(Request::line(&most, false), Ok(None));
    most.push(b'\n');
    assert_eq!(Request::line(&most, false).unwrap().unwrap().len(), 4095);
    most.insert(0, b' ');
    assert_eq!(Request::line(&most, false), Err(RequestError::TooLong));
    most.truncate(REQUEST_BYTES_MAX);
    assert_eq!(Request::line(&most, true), Err(RequestError::TooLong));
}

use super::*;
use std::format;
use std::string::ToString;

fn text(value: &str) -> Value {
    Value::Text(value.to_string())
}

fn value(json: &str) -> Value {
    parse(json).unwrap().value
}

#[test]
fn values_of_every_kind_are_read() {
    assert_eq!(value(" null "), Value::Null);
    assert_eq!(value("true"), Value::Boolean);
    assert_eq!(value("0"), Value::Number(Some(0)));
    assert_eq!(value("18446744073709551615"), Value::Number(Some(u64::MAX)));
    assert_eq!(value("18446744073709551616"), Value::Number(None));
    assert_eq!(value("-1"), Value::Number(None));
    assert_eq!(value("1.5"), Value::Number(None));
    assert_eq!(value("1e3"), Value::Number(None));
    assert_eq!(
        value(r#""a\"\\\/\b\f\n\r\tü\u00fc\ud83e\udd80""#),
        text("a\"\\/\u{8}\u{c}\n\r\tüü🦀")
    );
    let Value::List(items) = value("[1, [], {}]") else {
        panic!()
    };
    assert_eq!(
        items.iter().map(|item| item.at).collect::<Vec<_>>(),
        [1, 4, 8]
    );
    let Value::Object(members) = value("{\"a\": 1,\n\"b\":2}") else {
        panic!()
    };
    assert_eq!(members[1].name, "b");
    assert_eq!((members[1].at, members[1].node.at), (9, 13));
}

#[test]
fn what_is_not_json_is_refused_with_its_place() {
    use JsonProblem as P;
    for (json, at, problem) in [
        ("", 0, P::Value),
        ("nul", 0, P::Value),
        ("{} x", 3, P::End),
        ("{", 1, P::Name),
        ("{a:1}", 1, P::Name),
        ("{\"a\" 1}", 5, P::Colon),
        ("{\"a\":1 \"b\"", 7, P::CommaOrBrace),
        ("{\"a\":1,}", 7, P::Name),
        ("[1 2]", 3, P::CommaOrBracket),
        ("[1,]", 3, P::Value),
        ("\"abc", 4, P::Quote),
        ("\"a\nb\"", 2, P::Quote),
        ("\"\\x\"", 1, P::Escape),
        ("\"\\u12g4\"", 1, P::Escape),
        ("\"\\ud800\"", 1, P::Escape),
        ("\"\\ud800\\u0041\"", 1, P::Escape),
        ("\"\\", 1, P::Escape),
        ("01", 0, P::Number),
        ("-", 1, P::Number),
        ("1.", 2, P::Number),
        ("1e", 2, P::Number),
        (".5", 0, P::Value),
        ("+1", 0, P::Value),
    ] {
        assert_eq!(parse(json), Err(JsonError { at, problem }), "{json}");
    }
}

#[test]
fn every_cut_of_a_valid_text_is_an_error_and_no_panic() {
    let json = r#"{"a": [1, 2.5e-3, "ü\u00fc\n"], "b": {"c": null, "d": true}}"#;
    assert!(parse(json).is_ok());
    for cut in 0..json.len() {
        if let Some(part) = json.get(..cut) {
            assert!(parse(part).is_err(), "{part}");
        }
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(DEPTH_MAX + 1)).is_ok());
    for depth in [DEPTH_MAX + 2, 100_000] {
        let error = parse(&nested(depth)).unwrap_err();
        assert_eq!(error.problem, JsonProblem::Depth);
    }
}

#[test]
fn written_texts_are_read_again() {
    for original in ["", "a\"b\\c", "\0\u{1f}\n\r\t\u{7f}", "ü🦀\u{2028}"] {
        let mut json = String::new();
        push_text(&mut json, original);
        assert_eq!(value(&json), text(original));
    }
}

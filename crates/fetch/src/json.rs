//! A reader for one JSON object of plain values: requests and answers are nothing more.
use alloc::string::String;
use alloc::vec::Vec;

/// Deepest nesting read over: a member that is a list or an object is checked and ignored.
const DEPTH_MAX: usize = 4;

/// The value of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    /// A whole number of at most 64 bits that is not negative.
    Number(u64),
    Bool(bool),
    Null,
    /// Any other number, a list or an object.
    Other,
}

/// Why a text is not a JSON object, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at byte {at}")]
pub struct JsonError {
    /// Offset.
    pub at: usize,
    /// What is wrong there.
    pub problem: JsonProblem,
}

/// What a reader stumbled over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonProblem {
    /// Bytes that are no text.
    #[error("not UTF-8")]
    Utf8,
    /// Something else than an object.
    #[error("expected an opening brace")]
    Object,
    /// Text after the object.
    #[error("expected nothing after the object")]
    End,
    /// A member without a name.
    #[error("expected a name in double quotes")]
    Name,
    /// A name that was there before.
    #[error("a name occurs twice")]
    Twice,
    /// A name without a colon.
    #[error("expected a colon")]
    Colon,
    /// No value.
    #[error("expected a value")]
    Value,
    /// Neither comma nor closing bracket.
    #[error("expected a comma or a closing bracket")]
    Comma,
    /// A text that does not end, or has a control character in it.
    #[error("expected a closing double quote")]
    Quote,
    /// An unknown escape sequence.
    #[error("unknown escape sequence")]
    Escape,
    /// A number no reader would agree on.
    #[error("malformed number")]
    Number,
    /// Brackets in brackets in brackets.
    #[error("nested too deep")]
    Depth,
}

/// Reads an object that is all of `bytes`, apart from white space around it.
pub(crate) fn object(bytes: &[u8]) -> Result<Vec<(String, Value)>, JsonError> {
    let text = core::str::from_utf8(bytes).map_err(|error| JsonError {
        at: error.valid_up_to(),
        problem: JsonProblem::Utf8,
    })?;
    let mut reader = Reader { text, at: 0 };
    let mut members = Vec::new();
    if !reader.take(b'{') {
        return Err(reader.error(JsonProblem::Object));
    }
    reader.members(0, &mut |reader, name, value| {
        if members.iter().any(|(other, _)| *other == name) {
            return Err(reader.error(JsonProblem::Twice));
        }
        members.push((name, value));
        Ok(())
    })?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(members),
        Some(_) => Err(reader.error(JsonProblem::End)),
    }
}

/// Appends a text in double quotes.
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            // SPEC RFC 8259 7: control characters must be escaped.
            '\0'..='\u{1f}' => {
                out.push_str(&alloc::format!("\\u{:04x}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Sink<'a, 'b> = &'b mut dyn FnMut(&Reader<'a>, String, Value) -> Result<(), JsonError>;

impl<'a> Reader<'a> {
    fn error(&self, problem: JsonProblem) -> JsonError {
        JsonError {
            at: self.at,
            problem,
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn advance(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.advance(1);
        }
    }

    /// Skips white space and takes `byte` if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        if found {
            self.advance(1);
        }
        found
    }

    /// Reads members up to and with the closing brace.
    fn members(&mut self, depth: usize, sink: Sink<'a, '_>) -> Result<(), JsonError> {
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.error(JsonProblem::Name));
            }
            let name = self.string()?;
            if !self.take(b':') {
                return Err(self.error(JsonProblem::Colon));
            }
            let value = self.value(depth)?;
            sink(self, name, value)?;
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.error(JsonProblem::Comma));
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        if depth > DEPTH_MAX {
            return Err(self.error(JsonProblem::Depth));
        }
        self.skip_space();
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => {
                self.advance(1);
                self.members(depth.saturating_add(1), &mut |_, _, _| Ok(()))?;
                Ok(Value::Other)
            }
            Some(b'[') => self.list(depth.saturating_add(1)),
            _ => self.word(),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.advance(1);
        if self.take(b']') {
            return Ok(Value::Other);
        }
        loop {
            self.value(depth)?;
            if self.take(b']') {
                return Ok(Value::Other);
            }
            if !self.take(b',') {
                return Err(self.error(JsonProblem::Comma));
            }
        }
    }

    fn word(&mut self) -> Result<Value, JsonError> {
        for (word, value) in [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ] {
            if self.rest().starts_with(word) {
                self.advance(word.len());
                return Ok(value);
            }
        }
        Err(self.error(JsonProblem::Value))
    }

    /// SPEC RFC 8259 6: no leading zeros, no plus sign, digits on both sides of a point.
    fn number(&mut self) -> Result<Value, JsonError> {
        let negative = self.peek() == Some(b'-');
        if negative {
            self.advance(1);
        }
        let digits = self.digits()?;
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(self.error(JsonProblem::Number));
        }
        let mut whole = digits.parse().ok().filter(|_| !negative);
        if self.peek() == Some(b'.') {
            self.advance(1);
            self.digits()?;
            whole = None;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.advance(1);
            if let Some(b'+' | b'-') = self.peek() {
                self.advance(1);
            }
            self.digits()?;
            whole = None;
        }
        Ok(whole.map_or(Value::Other, Value::Number))
    }

    fn digits(&mut self) -> Result<&'a str, JsonError> {
        let rest = self.rest();
        let len = rest.bytes().take_while(u8::is_ascii_digit).count();
        if len == 0 {
            return Err(self.error(JsonProblem::Number));
        }
        self.advance(len);
        Ok(rest.get(..len).unwrap_or(""))
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.advance(1);
        let mut out = String::new();
        loop {
            match self.rest().chars().next() {
                Some('"') => {
                    self.advance(1);
                    return Ok(out);
                }
                Some('\\') => {
                    let character = self.escape();
                    out.push(character.ok_or_else(|| self.error(JsonProblem::Escape))?);
                }
                Some(character) if character >= ' ' => {
                    out.push(character);
                    self.advance(character.len_utf8());
                }
                _ => return Err(self.error(JsonProblem::Quote)),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        self.advance(1);
        let kind = self.peek()?;
        self.advance(1);
        match kind {
            b'"' | b'\\' | b'/' => Some(char::from(kind)),
            b'b' => Some('\u{8}'),
            b'f' => Some('\u{c}'),
            b'n' => Some('\n'),
            b'r' => Some('\r'),
            b't' => Some('\t'),
            b'u' => self.unicode(),
            _ => None,
        }
    }

    /// SPEC RFC 8259 7: four hexadecimal digits; two such escapes make a character above U+FFFF.
    fn unicode(&mut self) -> Option<char> {
        let first = self.code_unit()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(u32::from(first));
        }
        if !self.rest().starts_with("\\u") {
            return None;
        }
        self.advance(2);
        let second = self.code_unit()?;
        let mut decoded = char::decode_utf16([first, second]);
        match (decoded.next(), decoded.next()) {
            (Some(Ok(character)), None) => Some(character),
            _ => None,
        }
    }

    fn code_unit(&mut self) -> Option<u16> {
        let digits = self.rest().get(..4)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.advance(4);
        u16::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use std::vec;

    #[test]
    fn plain_members_are_read_and_others_are_read_over() {
        let text =
            br#" { "a" : "x\n\u00e9\ud83d\ude00\/" , "b":18446744073709551615,"c":true,"d":null,
            "e":-1,"f":1.5e3,"g":[1,{"h":[]}],"i":{},"j":18446744073709551616, "k":0 } "#;
        let members = object(text).unwrap();
        let values: vec::Vec<Value> = members.into_iter().map(|(_, value)| value).collect();
        assert_eq!(
            values,
            [
                Value::Text("x\n\u{e9}\u{1f600}/".to_string()),
                Value::Number(u64::MAX),
                Value::Bool(true),
                Value::Null,
                Value::Other,
                Value::Other,
                Value::Other,
                Value::Other,
                Value::Other,
                Value::Number(0),
            ]
        );
        assert_eq!(object(b"{}"), Ok(vec![]));
    }

    #[test]
    fn what_is_no_object_is_refused_at_its_byte() {
        use JsonProblem::*;
        for (text, at, problem) in [
            (&b""[..], 0, Object),
            (b"[]", 0, Object),
            (b"\xff{}", 0, Utf8),
            (b"{} x", 3, End),
            (b"{a:1}", 1, Name),
            (b"{\"a\" 1}", 5, Colon),
            (b"{\"a\":}", 5, Value),
            (b"{\"a\":1", 6, Comma),
            (b"{\"a\":1,}", 7, Name),
            (b"{\"a\":1,\"a\":2}", 12, Twice),
            (b"{\"a\":\"x\n\"}", 7, Quote),
            (b"{\"a\":\"x", 7, Quote),
            (b"{\"a\":\"\\x\"}", 8, Escape),
            (b"{\"a\":\"\\ud83d\"}", 12, Escape),
            (b"{\"a\":\"\\ud83d\\ud83d\"}", 18, Escape),
            (b"{\"a\":\"\\u+123\"}", 8, Escape),
            (b"{\"a\":01}", 7, Number),
            (b"{\"a\":-}", 6, Number),
            (b"{\"a\":1.}", 7, Number),
            (b"{\"a\":[1 2]}", 8, Comma),
            (b"{\"a\":nul}", 5, Value),
            (b"{\"a\":[[[[[[1]]]]]]}", 10, Depth),
        ] {
            assert_eq!(
                object(text),
                Err(JsonError { at, problem }),
                "{}",
                std::string::String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn written_text_reads_back() {
        let mut out = std::string::String::from("{\"a\":");
        let text = "say \"no\" \\ \u{7}\n\u{7f}\u{e9}";
        push_text(&mut out, text);
        out.push('}');
        let members = object(out.as_bytes()).unwrap();
        assert_eq!(members[0].1, Value::Text(text.to_string()));
    }
}

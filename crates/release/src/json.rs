//! A small JSON reader that remembers where everything is.
//!
//! Manifests are at most 64 KiB and strict: duplicate names, other numbers than whole ones and deep nesting have no use in them.
use alloc::string::String;
use alloc::vec::Vec;

/// Deepest nesting read: a manifest needs three levels, and an attacker's brackets must not use up the stack.
const DEPTH_MAX: usize = 8;

/// A value and the byte offset where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean,
    /// A whole number that is not negative; `None` when it is more than 64 bits or not whole.
    Number(Option<u64>),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    /// Offset of the name.
    pub(crate) at: usize,
    pub(crate) name: String,
    pub(crate) node: Node,
}

/// Why a text is not JSON, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    pub(crate) at: usize,
    pub(crate) problem: JsonProblem,
}

/// What a reader stumbled over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonProblem {
    /// Text where a value should be.
    #[error("expected a value")]
    Value,
    /// Text after the value.
    #[error("expected the end of the text after the closing brace")]
    End,
    /// An object's member has no name.
    #[error("expected a name in double quotes")]
    Name,
    /// A name without colon.
    #[error("expected a colon after the name")]
    Colon,
    /// Neither comma nor closing brace.
    #[error("expected a comma or a closing brace")]
    CommaOrBrace,
    /// Neither comma nor closing bracket.
    #[error("expected a comma or a closing bracket")]
    CommaOrBracket,
    /// A text that does not end on its line.
    #[error("expected a closing double quote on this line; write a line break as \\n")]
    Quote,
    /// A backslash with something unknown after it.
    #[error("unknown escape sequence; a backslash itself is written \\\\")]
    Escape,
    /// A number no reader would agree on.
    #[error("malformed number")]
    Number,
    /// Brackets in brackets in brackets.
    #[error("nested more than 8 levels deep")]
    Depth,
}

/// Reads one value that is the whole text.
pub(crate) fn parse(text: &str) -> Result<Node, JsonError> {
    let mut reader = Reader { text, at: 0 };
    let node = reader.value(0)?;
    reader.skip_space();
    if reader.peek().is_some() {
        return Err(reader.error(JsonProblem::End));
    }
    Ok(node)
}

impl Value {
    /// Names its kind for error messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

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

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        if depth > DEPTH_MAX {
            return Err(self.error(JsonProblem::Depth));
        }
        self.skip_space();
        let at = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node { at, value })
    }

    fn word(&mut self) -> Result<Value, JsonError> {
        for (word, value) in [
            ("null", Value::Null),
            ("true", Value::Boolean),
            ("false", Value::Boolean),
        ] {
            if self.rest().starts_with(word) {
                self.advance(word.len());
                return Ok(value);
            }
        }
        Err(self.error(JsonProblem::Value))
    }

    fn object(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.advance(1);
        let mut members = Vec::new();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            let at = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.error(JsonProblem::Name));
            }
            let name = self.string()?;
            if !self.take(b':') {
                return Err(self.error(JsonProblem::Colon));
            }
            let node = self.value(depth.saturating_add(1))?;
            members.push(Member { at, name, node });
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.error(JsonProblem::CommaOrBrace));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value, JsonError> {
        self.advance(1);
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth.saturating_add(1))?);
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            if !self.take(b',') {
                return Err(self.error(JsonProblem::CommaOrBracket));
            }
        }
    }

    /// SPEC RFC 8259 6: no leading zeros, no plus sign, digits on both sides of a point.
    fn number(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.advance(1);
        }
        let digits = self.digits()?;
        let leading_zero = digits.len() > 1 && digits.starts_with('0');
        let whole = digits.parse::<u64>().ok();
        let mut is_whole = true;
        if self.peek() == Some(b'.') {
            self.advance(1);
            self.digits()?;
            is_whole = false;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.advance(1);
            if let Some(b'+' | b'-') = self.peek() {
                self.advance(1);
            }
            self.digits()?;
            is_whole = false;
        }
        if leading_zero {
            self.at = start;
            return Err(self.error(JsonProblem::Number));
        }
        Ok(Value::Number(whole.filter(|_| is_whole && !negative)))
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
            let mut characters = self.rest().chars();
            match characters.next() {
                Some('"') => {
                    self.advance(1);
                    return Ok(out);
                }
                Some('\\') => out.push(self.escape()?),
                Some(character) if character >= ' ' => {
                    out.push(character);
                    self.advance(character.len_utf8());
                }
                _ => return Err(self.error(JsonProblem::Quote)),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let start = self.at;
        self.advance(1);
        let character = match self.peek() {
            Some(byte @ (b'"' | b'\\' | b'/')) => Some(char::from(byte)),
            Some(b'b') => Some('\u{8}'),
            Some(b'f') => Some('\u{c}'),
            Some(b'n') => Some('\n'),
            Some(b'r') => Some('\r'),
            Some(b't') => Some('\t'),
            Some(b'u') => return self.unicode(start),
            _ => None,
        };
        self.advance(1);
        character.ok_or(JsonError {
            at: start,
            problem: JsonProblem::Escape,
        })
    }

    /// SPEC RFC 8259 7: four hexadecimal digits; two such escapes make a character above U+FFFF.
    fn unicode(&mut self, start: usize) -> Result<char, JsonError> {
        let failed = JsonError {
            at: start,
            problem: JsonProblem::Escape,
        };
        let first = self.code_unit().ok_or(failed)?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or(failed);
        }
        if !self.rest().starts_with("\\u") {
            return Err(failed);
        }
        self.advance(1);
        let second = self.code_unit().ok_or(failed)?;
        let units = [first, second].map(|unit| u16::try_from(unit).unwrap_or(0));
        let mut decoded = char::decode_utf16(units);
        match (decoded.next(), decoded.next()) {
            (Some(Ok(character)), None) => Ok(character),
            _ => Err(failed),
        }
    }

    /// Reads `u` and four digits.
    fn code_unit(&mut self) -> Option<u32> {
        let digits = self.rest().get(1..5)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.advance(5);
        u32::from_str_radix(digits, 16).ok()
    }
}

/// Appends a text in double quotes, escaped.
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' => {
                out.push_str(&alloc::format!("\\u{:04x}", u32::from(character)));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;

//! Varints and protobuf fields, bounded: the few messages of libp2p and Swarm are read and written by hand over this.
//!
//! Spec: Protocol Buffers "Encoding"; unsigned-varint of multiformats.
use alloc::vec::Vec;

/// Most bytes of a 64-bit varint.
pub const VARINT_BYTES_MAX: usize = 10;

/// Why bytes are not a varint, a field, or a delimited message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A varint runs over ten bytes or over 64 bits.
    #[error("varint is longer than 64 bits")]
    VarintTooLong,
    /// A field or length announces more bytes than the message has.
    #[error("message ends in the middle of a field")]
    Truncated,
    /// Field number 0 or above 2^29 - 1.
    #[error("protobuf field number is out of range")]
    FieldNumber,
    /// Group markers (3, 4) or an undefined wire type (6, 7).
    #[error("protobuf wire type {0} is not supported")]
    WireType(u8),
    /// A delimited message announces more bytes than the reader accepts.
    #[error("message of {length} bytes is over the limit of {limit}")]
    TooLong {
        /// Announced length.
        length: u64,
        /// The reader's limit.
        limit: usize,
    },
    /// A known field has another wire type than the message definition says.
    #[error("protobuf field {0} has the wrong wire type")]
    UnexpectedType(u32),
    /// A string field is not UTF-8.
    #[error("protobuf field {0} is not UTF-8 text")]
    NotText(u32),
}

/// Decodes a varint from the front of `bytes`; `None` means that more bytes are needed.
///
/// Over-long encodings are accepted up to ten bytes, as in protobuf.
///
/// # Errors
/// [`DecodeError::VarintTooLong`] over ten bytes or 64 bits.
pub fn decode_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, DecodeError> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        let shift = u32::try_from(index).unwrap_or(u32::MAX).saturating_mul(7);
        let bits = u64::from(byte & 0x7f);
        // The tenth byte holds bit 63 only.
        if shift == 63 && bits > 1 {
            return Err(DecodeError::VarintTooLong);
        }
        value |= bits.checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index.saturating_add(1))));
        }
    }
    if bytes.len() >= VARINT_BYTES_MAX {
        return Err(DecodeError::VarintTooLong);
    }
    Ok(None)
}

/// Appends `value` as a varint.
pub fn encode_varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// How many bytes [`encode_varint`] appends for `value`.
pub const fn varint_len(value: u64) -> usize {
    match value.checked_ilog2() {
        None => 1,
        Some(0..=6) => 1,
        Some(7..=13) => 2,
        Some(14..=20) => 3,
        Some(21..=27) => 4,
        Some(28..=34) => 5,
        Some(35..=41) => 6,
        Some(42..=48) => 7,
        Some(49..=55) => 8,
        Some(56..=62) => 9,
        Some(_) => 10,
    }
}

/// Decodes one length-delimited message of at most `limit` bytes from the front of `bytes`: the body and the bytes used.
///
/// `None` means that more bytes are needed. The limit is checked as soon as the length is known.
///
/// # Errors
/// [`DecodeError::VarintTooLong`] and [`DecodeError::TooLong`].
pub fn decode_delimited(bytes: &[u8], limit: usize) -> Result<Option<(&[u8], usize)>, DecodeError> {
    let Some((length, used)) = decode_varint(bytes)? else {
        return Ok(None);
    };
    let Some(body_len) = usize::try_from(length).ok().filter(|len| *len <= limit) else {
        return Err(DecodeError::TooLong { length, limit });
    };
    let end = used.saturating_add(body_len);
    Ok(bytes.get(used..end).map(|body| (body, end)))
}

/// Appends `body` preceded by its length.
pub fn encode_delimited(body: &[u8], out: &mut Vec<u8>) {
    encode_varint(len_u64(body), out);
    out.extend_from_slice(body);
}

/// The value of one protobuf field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: bytes, text, or a nested message.
    Bytes(&'a [u8]),
    /// Wire type 5.
    Fixed32(u32),
}

/// One protobuf field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Field number, 1 to 2^29 - 1.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
}

impl<'a> Field<'a> {
    /// The bytes of a bytes or message field.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedType`] when the field has another wire type.
    pub const fn bytes(&self) -> Result<&'a [u8], DecodeError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(DecodeError::UnexpectedType(self.number)),
        }
    }

    /// The text of a string field.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedType`] or [`DecodeError::NotText`].
    pub fn text(&self) -> Result<&'a str, DecodeError> {
        core::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::NotText(self.number))
    }

    /// The number of a varint field (`uint32/64`, `int32/64`, `bool`, enum).
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedType`] when the field has another wire type.
    pub const fn varint(&self) -> Result<u64, DecodeError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(DecodeError::UnexpectedType(self.number)),
        }
    }

    /// The number of an `int64` field (two's complement in a varint).
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedType`] when the field has another wire type.
    pub fn int64(&self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.varint()?.to_le_bytes()))
    }

    /// The value of a `bool` field.
    ///
    /// # Errors
    /// [`DecodeError::UnexpectedType`] when the field has another wire type.
    pub fn bool(&self) -> Result<bool, DecodeError> {
        Ok(self.varint()? != 0)
    }
}

/// Iterates over the fields of one protobuf message; stops for good after the first error.
///
/// The work is linear in the message; bound the message, and everything that is collected out of it is bounded too.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Starts at the front of `message`.
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn varint(&mut self) -> Result<u64, DecodeError> {
        let (value, used) = decode_varint(self.rest)?.ok_or(DecodeError::Truncated)?;
        self.take(used)?;
        Ok(value)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    fn field(&mut self) -> Result<Field<'a>, DecodeError> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3)
            .ok()
            .filter(|number| (1..=0x1fff_ffff).contains(number))
            .ok_or(DecodeError::FieldNumber)?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(DecodeError::WireType(u8::try_from(other).unwrap_or(7))),
        };
        Ok(Field { number, value })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Appends protobuf fields to a buffer.
///
/// Proto3 leaves default values out; every method here writes what it is given, so callers skip what is zero or empty.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Appends to `out`.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    fn key(&mut self, number: u32, wire_type: u64) {
        encode_varint((u64::from(number) << 3) | wire_type, self.out);
    }

    /// Writes a varint field (`uint32/64`, `bool`, enum).
    pub fn varint(&mut self, number: u32, value: u64) {
        self.key(number, 0);
        encode_varint(value, self.out);
    }

    /// Writes an `int64` field (two's complement in a varint).
    pub fn int64(&mut self, number: u32, value: i64) {
        self.varint(number, u64::from_le_bytes(value.to_le_bytes()));
    }

    /// Writes a bytes, string, or message field.
    pub fn bytes(&mut self, number: u32, value: &[u8]) {
        self.key(number, 2);
        encode_delimited(value, self.out);
    }
}

/// The length of `bytes` as it is put on the wire.
fn len_u64(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

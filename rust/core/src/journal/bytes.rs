//! The bytes that records are made of: LEB128 numbers, zigzag where they may be negative, lengths before texts, values with
//! a tag (docs/storage.md).

use ecow::{EcoString, EcoVec};

use crate::value::Value;

/// Deeper trees are refused on both ways: readers of all sources stop at less.
const DEEPEST: usize = 512;

/// What is being written.
#[derive(Debug, Default)]
pub struct Out(pub Vec<u8>);

impl Out {
    pub fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    #[inline]
    pub fn number(&mut self, mut x: u64) {
        while x >= 0x80 {
            self.0.push(x as u8 | 0x80);
            x >>= 7;
        }
        self.0.push(x as u8);
    }

    #[inline]
    pub fn signed(&mut self, x: i64) {
        self.number((x << 1 ^ x >> 63) as u64);
    }

    pub fn count(&mut self, count: usize) {
        self.number(count as u64);
    }

    pub fn real(&mut self, x: f64) {
        self.0.extend_from_slice(&x.to_bits().to_le_bytes());
    }

    pub fn word(&mut self, x: u64) {
        self.0.extend_from_slice(&x.to_le_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Whether there is something, then it.
    pub fn optional(&mut self, x: Option<i64>) {
        self.byte(u8::from(x.is_some()));
        if let Some(x) = x {
            self.signed(x);
        }
    }

    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.byte(0),
            Value::Bool(false) => self.byte(1),
            Value::Bool(true) => self.byte(2),
            Value::Int(x) => {
                self.byte(3);
                self.signed(*x);
            }
            Value::Float(x) => {
                self.byte(4);
                self.real(*x);
            }
            Value::Time(x) => {
                self.byte(5);
                self.signed(*x);
            }
            Value::Point(lat, lon) => {
                self.byte(6);
                self.real(*lat);
                self.real(*lon);
            }
            Value::Text(text) => {
                self.byte(7);
                self.text(text);
            }
            Value::Bytes(bytes) => {
                self.byte(8);
                self.bytes(bytes);
            }
            Value::List(items) => {
                self.byte(9);
                self.count(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Map(members) => {
                self.byte(10);
                self.count(members.len());
                for (name, member) in members.iter() {
                    self.text(name);
                    self.value(member);
                }
            }
        }
    }

    /// Bit i of byte i / 8, as Arrow has it.
    pub fn bits(&mut self, bits: impl Iterator<Item = bool>) {
        let (mut byte, mut at) = (0u8, 0);
        for bit in bits {
            byte |= u8::from(bit) << at;
            at += 1;
            if at == 8 {
                self.0.push(byte);
                (byte, at) = (0, 0);
            }
        }
        if at > 0 {
            self.0.push(byte);
        }
    }
}

/// The bytes end too early, or are none that `Out` writes. A record with a right checksum has none of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Garbled;

impl std::fmt::Display for Garbled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "its bytes are not those of a record")
    }
}

pub type Read<T> = Result<T, Garbled>;

/// What is being read. No count is trusted: memory is taken as bytes are there.
#[derive(Clone, Debug)]
pub struct In<'a> {
    rest: &'a [u8],
}

impl<'a> In<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        In { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Garbled)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub fn byte(&mut self) -> Read<u8> {
        let (byte, rest) = self.rest.split_first().ok_or(Garbled)?;
        self.rest = rest;
        Ok(*byte)
    }

    #[inline]
    pub fn number(&mut self) -> Read<u64> {
        let mut x = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            x |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(x);
            }
        }
        Err(Garbled)
    }

    #[inline]
    pub fn signed(&mut self) -> Read<i64> {
        let x = self.number()?;
        Ok((x >> 1) as i64 ^ -((x & 1) as i64))
    }

    /// A count of things of at least one byte each, or one bit.
    pub fn count(&mut self) -> Read<usize> {
        let count = self.number()?;
        if count > self.rest.len() as u64 * 8 {
            return Err(Garbled);
        }
        Ok(count as usize)
    }

    pub fn word(&mut self) -> Read<u64> {
        let (word, rest) = self.rest.split_first_chunk::<8>().ok_or(Garbled)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*word))
    }

    pub fn real(&mut self) -> Read<f64> {
        self.word().map(f64::from_bits)
    }

    pub fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| Garbled)?)
    }

    pub fn text(&mut self) -> Read<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Garbled)
    }

    pub fn optional(&mut self) -> Read<Option<i64>> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.signed().map(Some),
            _ => Err(Garbled),
        }
    }

    pub fn flag(&mut self) -> Read<bool> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Garbled),
        }
    }

    pub fn value(&mut self) -> Read<Value> {
        self.value_at(0)
    }

    fn value_at(&mut self, depth: usize) -> Read<Value> {
        if depth > DEEPEST {
            return Err(Garbled);
        }
        Ok(match self.byte()? {
            0 => Value::Null,
            1 => Value::Bool(false),
            2 => Value::Bool(true),
            3 => Value::Int(self.signed()?),
            4 => Value::Float(self.real()?),
            5 => Value::Time(self.signed()?),
            6 => Value::Point(self.real()?, self.real()?),
            7 => Value::Text(EcoString::from(self.text()?)),
            8 => Value::Bytes(EcoVec::from(self.bytes()?)),
            9 => {
                let count = self.count()?;
                let items: Vec<Value> = (0..count).map(|_| self.value_at(depth + 1)).collect::<Read<_>>()?;
                Value::List(items.into())
            }
            10 => {
                let count = self.count()?;
                let member = |input: &mut Self| Ok((EcoString::from(input.text()?), input.value_at(depth + 1)?));
                let members: Vec<_> = (0..count).map(|_| member(self)).collect::<Read<_>>()?;
                Value::Map(members.into())
            }
            _ => return Err(Garbled),
        })
    }

    /// So many bits.
    pub fn bits(&mut self, count: usize) -> Read<Bits<'a>> {
        self.take(count.div_ceil(8)).map(Bits)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Bits<'a>(&'a [u8]);

impl Bits<'_> {
    #[inline(always)]
    pub fn get(&self, at: usize) -> bool {
        self.0[at / 8] >> (at % 8) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            prop::num::f64::NORMAL.prop_map(Value::Float),
            any::<i64>().prop_map(Value::Time),
            (-90.0..90.0, -180.0..180.0).prop_map(|(lat, lon)| Value::Point(lat, lon)),
            ".{0,20}".prop_map(|text| Value::Text(text.into())),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Bytes(bytes.as_slice().into())),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let member = (".{0,5}".prop_map(EcoString::from), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..5).prop_map(|items| Value::List(items.into())),
                prop::collection::vec(member, 0..5).prop_map(|members| Value::Map(members.into())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in values(), number: u64, signed: i64, bits in prop::collection::vec(any::<bool>(), 0..40)) {
            let mut out = Out::default();
            out.value(&value);
            out.number(number);
            out.signed(signed);
            out.bits(bits.iter().copied());
            let mut input = In::new(&out.0);
            prop_assert_eq!(input.value(), Ok(value));
            prop_assert_eq!(input.number(), Ok(number));
            prop_assert_eq!(input.signed(), Ok(signed));
            let read = input.bits(bits.len()).unwrap();
            prop_assert_eq!((0..bits.len()).map(|at| read.get(at)).collect::<Vec<_>>(), bits);
            prop_assert!(input.is_empty());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut input = In::new(&bytes);
            while !input.is_empty() && input.value().is_ok() {}
            _ = In::new(&bytes).count();
        }
    }
}

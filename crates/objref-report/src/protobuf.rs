//! As much of the protocol buffers' wire format as it takes to write a message.

use std::io::{self, Write};

/// The bytes of a message, field after field. What is 0 or empty is left out, as proto3 has it.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

/// What follows a field's number: a number or a length and as many bytes.
const VARINT: u64 = 0;
const BYTES: u64 = 2;

impl Message {
    /// A field with a number; negative ones are not needed here.
    pub(crate) fn number(&mut self, field: u64, value: u64) -> &mut Self {
        if value != 0 {
            varint(&mut self.0, field << 3 | VARINT);
            varint(&mut self.0, value);
        }
        self
    }

    /// A field with a message in it, an empty one too: of those, each counts.
    pub(crate) fn message(&mut self, field: u64, message: &Message) -> &mut Self {
        self.bytes(field, &message.0)
    }

    /// An element of a list of strings, an empty one too.
    pub(crate) fn string(&mut self, field: u64, text: &str) -> &mut Self {
        self.bytes(field, text.as_bytes())
    }

    /// A list of numbers in one piece.
    pub(crate) fn packed(
        &mut self,
        field: u64,
        values: impl IntoIterator<Item = u64>,
    ) -> &mut Self {
        let mut packed = Vec::new();
        for value in values {
            varint(&mut packed, value);
        }
        match packed.is_empty() {
            true => self,
            false => self.bytes(field, &packed),
        }
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        varint(&mut self.0, field << 3 | BYTES);
        varint(&mut self.0, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Writes what there is and starts anew: a message may be written in parts.
    pub(crate) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.0)?;
        self.0.clear();
        Ok(())
    }
}

/// Seven bits a byte, the lowest first; all bytes but the last have the highest bit set.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::Message;

    /// The examples of the encoding's own documentation, and the ends of the range.
    #[test]
    fn bytes_on_the_wire() {
        let mut message = Message::default();
        message.number(1, 150).number(3, 0).string(2, "testing");
        message.packed(6, [3, 270, 86_942]).packed(7, []);
        assert_eq!(
            message.0,
            b"\x08\x96\x01\x12\x07testing\x32\x06\x03\x8e\x02\x9e\xa7\x05"
        );
        let mut outer = Message::default();
        outer.message(3, Message::default().number(1, 150));
        outer.message(4, &Message::default());
        assert_eq!(outer.0, b"\x1a\x03\x08\x96\x01\x22\x00");
        let mut last = Message::default();
        last.number(1, u64::MAX);
        assert_eq!(last.0, b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    }
}

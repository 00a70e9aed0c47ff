//! Reads profiles of pprof with a decoder that is not ours.

use std::io::Read;

use flate2::read::GzDecoder;
use prost::Message;

/// github.com/google/pprof/proto/profile.proto, as its own generator would have it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Profile {
    #[prost(message, repeated, tag = "1")]
    pub(crate) sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    pub(crate) function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    pub(crate) string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    pub(crate) time_nanos: i64,
    #[prost(int64, repeated, tag = "13")]
    pub(crate) comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    pub(crate) default_sample_type: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ValueType {
    #[prost(int64, tag = "1")]
    pub(crate) kind: i64,
    #[prost(int64, tag = "2")]
    pub(crate) unit: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    pub(crate) location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    pub(crate) value: Vec<i64>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) label: Vec<Label>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Label {
    #[prost(int64, tag = "1")]
    pub(crate) key: i64,
    #[prost(int64, tag = "2")]
    pub(crate) str: i64,
    #[prost(int64, tag = "3")]
    pub(crate) num: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Mapping {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(int64, tag = "5")]
    pub(crate) filename: i64,
    #[prost(int64, tag = "6")]
    pub(crate) build_id: i64,
    #[prost(bool, tag = "7")]
    pub(crate) has_functions: bool,
    #[prost(bool, tag = "10")]
    pub(crate) has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Location {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(uint64, tag = "2")]
    pub(crate) mapping_id: u64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Line {
    #[prost(uint64, tag = "1")]
    pub(crate) function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Function {
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    #[prost(int64, tag = "2")]
    pub(crate) name: i64,
    #[prost(int64, tag = "3")]
    pub(crate) system_name: i64,
}

impl Profile {
    pub(crate) fn read(gzip: &[u8]) -> Self {
        let mut bytes = Vec::new();
        GzDecoder::new(gzip).read_to_end(&mut bytes).unwrap();
        Self::decode(&bytes[..]).unwrap()
    }

    pub(crate) fn string(&self, index: i64) -> &str {
        &self.string_table[index as usize]
    }

    /// The stack of a sample, the leaf first.
    pub(crate) fn stack(&self, sample: &Sample) -> Vec<&str> {
        let name = |id: &u64| {
            let location = self.location.iter().find(|l| l.id == *id).unwrap();
            let [line] = &location.line[..] else {
                panic!("{location:?}")
            };
            let function = self.function.iter().find(|f| f.id == line.function_id);
            self.string(function.unwrap().name)
        };
        sample.location_id.iter().map(name).collect()
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for comment in &self.comment {
            text.push_str(&format!("# {}\n", self.string(*comment)));
        }
        for mapping in &self.mapping {
            let (file, id) = (self.string(mapping.filename), self.string(mapping.build_id));
            text.push_str(&format!("mapping {}: {file} {id}\n", mapping.id));
        }
        for ValueType { kind, unit } in &self.sample_type {
            text.push_str(&format!("{}/{} ", self.string(*kind), self.string(*unit)));
        }
        let default = self.string(self.default_sample_type);
        text.push_str(&format!("[default: {default}]\n"));
        for sample in &self.sample {
            let labels = sample.label.iter();
            let labels: Vec<String> = labels
                .map(|l| format!(" {}={}", self.string(l.key), l.num))
                .collect();
            text.push_str(&format!("{:?}{}\n", sample.value, labels.concat()));
            for name in self.stack(sample) {
                text.push_str(&format!("    {name}\n"));
            }
        }
        text
    }
}

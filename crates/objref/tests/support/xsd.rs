//! XML schemas, as much of them as JUnit's needs: which elements an element may have in it, in any order, which
//! attributes, which of them it must have, and patterns of attributes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use regex::Regex;

/// What the schema says of an element.
#[derive(Debug, Default)]
struct Element {
    children: BTreeSet<String>,
    /// Attributes with their types.
    attributes: BTreeMap<String, String>,
    required: BTreeSet<String>,
    has_text: bool,
}

/// A schema.
#[derive(Debug)]
pub(crate) struct Schema {
    elements: BTreeMap<String, Element>,
    patterns: BTreeMap<String, Regex>,
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.try_get_attribute(name).unwrap()?;
    Some(
        found
            .normalized_value(XmlVersion::Explicit1_0)
            .unwrap()
            .into_owned(),
    )
}

fn local(tag: &BytesStart<'_>) -> String {
    String::from_utf8(tag.local_name().as_ref().to_vec()).unwrap()
}

impl Schema {
    /// Reads a schema whose elements are all declared at its top.
    pub(crate) fn read(path: &Path) -> Schema {
        let text = fs::read_to_string(path).unwrap();
        let mut schema = Schema {
            elements: BTreeMap::new(),
            patterns: BTreeMap::new(),
        };
        let mut reader = Reader::from_str(&text);
        reader.config_mut().expand_empty_elements = true;
        let mut depth = 0;
        let mut at: Option<String> = None;
        loop {
            match reader.read_event().unwrap() {
                Event::Start(tag) => {
                    depth += 1;
                    let name = attribute(&tag, "name");
                    match (local(&tag).as_str(), depth) {
                        ("element" | "simpleType" | "complexType", 2) => {
                            let element = Element {
                                has_text: attribute(&tag, "type").as_deref() == Some("xs:string"),
                                ..Element::default()
                            };
                            at = name.clone();
                            if local(&tag) == "element" {
                                schema.elements.insert(name.unwrap(), element);
                            }
                        }
                        ("pattern", _) => {
                            let pattern = attribute(&tag, "value").unwrap();
                            let pattern = Regex::new(&format!("^(?:{pattern})$")).unwrap();
                            schema.patterns.insert(at.clone().unwrap(), pattern);
                        }
                        (kind, _) => {
                            let element = at.as_ref().and_then(|at| schema.elements.get_mut(at));
                            if let Some(element) = element {
                                element.add(kind, &tag, name);
                            }
                        }
                    }
                }
                Event::End(_) => depth -= 1,
                Event::Eof => return schema,
                _ => {}
            }
        }
    }

    /// Whether a document is as the schema says; else what is wrong.
    pub(crate) fn validate(&self, text: &str) -> Result<(), String> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut open: Vec<String> = Vec::new();
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(tag) => {
                    let name = local(&tag);
                    if let Some(above) = open.last()
                        && !self.elements[above].children.contains(&name)
                    {
                        return Err(format!("{above}: {name} in it"));
                    }
                    self.attributes(&name, &tag)?;
                    open.push(name);
                }
                Event::End(_) => {
                    open.pop();
                }
                Event::Text(_) | Event::CData(_) if open.is_empty() => {}
                Event::Text(text) => {
                    let text = text.decode().map_err(|error| error.to_string())?;
                    let above = open.last().unwrap();
                    if !text.trim().is_empty() && !self.elements[above].has_text {
                        return Err(format!("{above}: text in it"));
                    }
                }
                Event::Eof if open.is_empty() => return Ok(()),
                Event::Eof => return Err("cut short".to_owned()),
                _ => {}
            }
        }
    }

    fn attributes(&self, name: &str, tag: &BytesStart<'_>) -> Result<(), String> {
        let element = self
            .elements
            .get(name)
            .ok_or(format!("no element {name}"))?;
        let mut missing = element.required.clone();
        for found in tag.attributes() {
            let found = found.map_err(|error| error.to_string())?;
            let key = String::from_utf8(found.key.as_ref().to_vec()).unwrap();
            let value = found
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(|error| error.to_string())?;
            let Some(kind) = element.attributes.get(&key) else {
                return Err(format!("{name}: attribute {key}"));
            };
            if let Some(pattern) = self.patterns.get(kind)
                && !pattern.is_match(&value)
            {
                return Err(format!("{name}: {key} is {value}"));
            }
            missing.remove(&key);
        }
        match missing.first() {
            Some(first) => Err(format!("{name}: no {first}")),
            None => Ok(()),
        }
    }
}

impl Element {
    /// What a declaration inside of that of the element says.
    fn add(&mut self, kind: &str, tag: &BytesStart<'_>, name: Option<String>) {
        match kind {
            "complexType" => self.has_text |= attribute(tag, "mixed").as_deref() == Some("true"),
            "element" => {
                self.children.insert(attribute(tag, "ref").unwrap());
            }
            "attribute" => {
                let name = name.unwrap();
                if attribute(tag, "use").as_deref() == Some("required") {
                    self.required.insert(name.clone());
                }
                self.attributes
                    .insert(name, attribute(tag, "type").unwrap());
            }
            _ => {}
        }
    }
}

//! What somebody asks about: an object by its address, the objects of a type, a root.

use std::collections::BTreeSet;

use objref_go::ObjId;
use objref_snapshot::{Holder, Snapshot, StackNode, short};

use crate::measure::holder_name;
use crate::{NotFound, nearest};

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The object at an address, or around it.
    Object {
        /// The object.
        object: u32,
        /// How many bytes into its slot the address is.
        offset: u64,
    },
    /// The objects of a type, or of several with similar names.
    Types {
        /// The names, shortened.
        names: Vec<String>,
        /// By [`Snapshot::view_index`]: whether objects seen so are meant.
        views: Vec<bool>,
    },
    /// Variables, functions on stacks, or what the runtime holds.
    Root {
        /// The name, shortened.
        name: String,
        /// All of that name.
        holders: Vec<Holder>,
    },
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unasked {
    /// No object is at this address, or nothing holds it.
    Address(u64),
    /// Nothing has that name.
    Name(NotFound),
}

impl Question {
    /// What `text` means: `0x` and an address, else the full or short name of a root or a type, else a regular
    /// expression that matches the names of types, or of one root.
    pub fn parse(snapshot: &Snapshot, text: &str) -> Result<Question, Unasked> {
        if let Some(digits) = text.strip_prefix("0x") {
            let address = u64::from_str_radix(digits, 16).map_err(|_| {
                Unasked::Name(NotFound {
                    what: format!("{text} is no address"),
                    nearest: Vec::new(),
                })
            })?;
            return match snapshot.objects.resolve(address) {
                Some(found) => Ok(Question::Object {
                    object: found.id.0,
                    offset: address - found.at,
                }),
                None => Err(Unasked::Address(address)),
            };
        }
        let roots = root_names(snapshot);
        let types = type_names(snapshot);
        if let Some(root) = root_called(snapshot, &roots, text) {
            return Ok(root);
        }
        for spelling in spellings(text) {
            let found = types_where(snapshot, &types, |full| {
                full == spelling || short(full) == spelling
            });
            if let Some(found) = found {
                return Ok(found);
            }
        }
        like(snapshot, &roots, &types, text)
    }

    /// The address that is asked about, if the object there is garbage.
    pub fn garbage(&self, snapshot: &Snapshot) -> Option<u64> {
        match self {
            Question::Object { object, offset } if !snapshot.is_reached(*object) => {
                Some(snapshot.objects.address(ObjId(*object)) + offset)
            }
            _ => None,
        }
    }
}

/// All types and roots whose names a regular expression matches.
fn like(
    snapshot: &Snapshot,
    roots: &[(Holder, String)],
    types: &[Vec<String>],
    text: &str,
) -> Result<Question, Unasked> {
    if let Ok(regex) = regex::Regex::new(text)
        && !text.is_empty()
    {
        if let Some(found) = types_where(snapshot, types, |full| regex.is_match(&short(full))) {
            return Ok(found);
        }
        let matching: BTreeSet<&String> = roots
            .iter()
            .filter(|(_, name)| regex.is_match(&short(name)))
            .map(|(_, name)| name)
            .collect();
        if matching.len() == 1
            && let Some(root) = matching
                .first()
                .and_then(|name| root_called(snapshot, roots, name))
        {
            return Ok(root);
        }
        if matching.len() > 1 {
            let what = format!("{} roots match {text}: say which", matching.len());
            let names = matching.iter().map(|name| short(name));
            return Err(Unasked::Name(NotFound {
                what,
                nearest: names.take(4).collect(),
            }));
        }
    }
    let names = types
        .iter()
        .flatten()
        .chain(roots.iter().map(|(_, name)| name));
    let names: BTreeSet<String> = names.map(|name| short(name)).collect();
    Err(Unasked::Name(NotFound {
        what: format!("no reachable object's type and no root is called {text}"),
        nearest: nearest(text, names.iter().map(String::as_str)),
    }))
}

/// All holders of roots with their full names.
fn root_names(snapshot: &Snapshot) -> Vec<(Holder, String)> {
    let variables = snapshot.variables.iter().enumerate();
    let variables = variables.map(|(i, name)| (Holder::Variable(i as u32), name.clone()));
    let stacks = (0..snapshot.stacks.len() as u32).map(|node| {
        let name = snapshot.stacks.name(StackNode(node));
        (Holder::Stack(StackNode(node)), format!("{name}()"))
    });
    let kinds = objref_go::RootKind::ALL.map(|kind| {
        let holder = Holder::Runtime(kind);
        (holder, holder_name(snapshot, holder))
    });
    variables.chain(stacks).chain(kinds).collect()
}

fn root_called(snapshot: &Snapshot, roots: &[(Holder, String)], text: &str) -> Option<Question> {
    let function = format!("{text}()");
    let is = |name: &str| name == text || short(name) == text;
    let called = |name: &str| is(name) || name == function || short(name) == function;
    let holders: Vec<Holder> = roots
        .iter()
        .filter(|(_, name)| called(name))
        .map(|(holder, _)| *holder)
        .collect();
    let name = holder_name(snapshot, *holders.first()?);
    Some(Question::Root { name, holders })
}

/// The names of each distinct view of a reached object: the one that reports use, and for the insides of maps and
/// channels the one that a programmer knows.
fn type_names(snapshot: &Snapshot) -> Vec<Vec<String>> {
    let mut used = vec![false; snapshot.distinct_views().len()];
    for &object in &snapshot.tree.order {
        used[snapshot.view_index(object) as usize] = true;
    }
    let views = snapshot.distinct_views().iter().enumerate();
    views
        .map(|(index, view)| match (used[index], index) {
            (false, _) => Vec::new(),
            (true, 0) => vec!["?".to_owned()],
            (true, _) => {
                let mut names = vec![snapshot.view_name(view)];
                names.extend(header_of(&snapshot.types.get(view.ty).name));
                names
            }
        })
        .collect()
}

/// `map[K]V` for the struct that such a map is kept in, `chan T` for a channel's.
// cmd/link/internal/ld/dwarf.go: synthesizemaptypes, synthesizechantypes
fn header_of(name: &str) -> Option<String> {
    let (generic, arguments) = name.strip_suffix('>')?.split_once('<')?;
    match generic {
        "hchan" => Some(format!("chan {arguments}")),
        "map" | "hash" => {
            let mut depth = 0;
            let comma = arguments.char_indices().find(|(_, c)| {
                match c {
                    '(' | '[' | '{' | '<' => depth += 1,
                    ')' | ']' | '}' | '>' => depth -= 1,
                    _ => {}
                }
                *c == ',' && depth == 0
            });
            let (at, _) = comma?;
            Some(format!("map[{}]{}", &arguments[..at], &arguments[at + 1..]))
        }
        _ => None,
    }
}

fn types_where(
    snapshot: &Snapshot,
    types: &[Vec<String>],
    matches: impl Fn(&str) -> bool,
) -> Option<Question> {
    let mut views = vec![false; snapshot.distinct_views().len()];
    let mut names = BTreeSet::new();
    for (index, called) in types.iter().enumerate() {
        if let Some(name) = called.iter().rfind(|name| matches(name)) {
            views[index] = true;
            names.insert(short(name));
        }
    }
    let names: Vec<String> = names.into_iter().collect();
    (!names.is_empty()).then_some(Question::Types { names, views })
}

/// `text`, then ways to spell the same type as reports do.
pub(crate) fn spellings(text: &str) -> Vec<String> {
    let mut all = vec![text.to_owned()];
    let mut also = |text: String| {
        if !all.contains(&text) {
            all.push(text);
        }
    };
    // An array of any length is found as `[]T`; the objects' own listing says `[35]T`.
    let elements = |text: &str| -> Option<String> {
        let (count, elem) = text.strip_prefix('[')?.split_once(']')?;
        count.parse::<u64>().ok()?;
        Some(format!("[]{elem}"))
    };
    let plain = with_plain_names(text);
    also(plain.clone());
    if let Some(elements) = elements(&plain) {
        also(elements);
    }
    // What is allocated is T, what refers to it is *T.
    if let Some(pointed) = plain.strip_prefix('*') {
        also(pointed.to_owned());
    }
    all
}

/// With the names that the compiler uses in place of those that are predeclared for them.
fn with_plain_names(text: &str) -> String {
    const ALIASES: [(&str, &str); 3] = [
        ("byte", "uint8"),
        ("rune", "int32"),
        ("any", "interface {}"),
    ];
    let mut out = String::new();
    let mut word = String::new();
    let flush = |word: &mut String, out: &mut String| {
        let alias = ALIASES.iter().find(|(alias, _)| alias == word);
        out.push_str(alias.map_or(word.as_str(), |(_, name)| name));
        word.clear();
    };
    for c in text.chars() {
        // A dot or a slash is part of a name: pkg.byte is another one.
        if c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-') {
            word.push(c);
        } else {
            flush(&mut word, &mut out);
            out.push(c);
        }
    }
    flush(&mut word, &mut out);
    out.replace("interface{}", "interface {}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_has_several_spellings() {
        assert_eq!(spellings("[]byte"), ["[]byte", "[]uint8"]);
        assert_eq!(spellings("[35]main.T"), ["[35]main.T", "[]main.T"]);
        assert_eq!(spellings("*main.any"), ["*main.any", "main.any"]);
        assert_eq!(spellings("map[rune]any")[1], "map[int32]interface {}");
        assert_eq!(spellings("[]interface{}")[1], "[]interface {}");
    }

    #[test]
    fn headers_go_by_the_type_that_a_programmer_knows() {
        assert_eq!(
            header_of("map<string,[]main.T>").as_deref(),
            Some("map[string][]main.T")
        );
        assert_eq!(
            header_of("hash<main.K[int,string],int>").as_deref(),
            Some("map[main.K[int,string]]int")
        );
        assert_eq!(header_of("hchan<*main.T>").as_deref(), Some("chan *main.T"));
        assert_eq!(header_of("main.T"), None);
        assert_eq!(header_of("bucket<int,int>"), None);
    }
}

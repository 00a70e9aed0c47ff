//! How types and references are spelled in reports.

use crate::types::{Kind, TypeId, Types};
use crate::view::{Form, View};

/// Leaves out the directories of import paths: `*github.com/a/b.T` is shown as `*b.T`.
pub fn short(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut token = 0;
    for c in name.chars() {
        match c {
            '/' => out.truncate(token),
            _ => {
                out.push(c);
                let in_path =
                    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '%' | '@' | '+');
                if !in_path {
                    token = out.len();
                }
            }
        }
    }
    out
}

/// The name under which the runtime allocates a type: the linker's description of the inside of maps and channels
/// carries type arguments that the runtime's own type does not have.
pub(crate) fn allocated_name(types: &Types, ty: TypeId) -> String {
    let name = types.get(ty).name.as_str();
    let Some((generic, arguments)) = name.split_once('<') else {
        return name.to_owned();
    };
    let arguments = arguments.strip_suffix('>').unwrap_or(arguments);
    match generic {
        "hash" => "runtime.hmap".to_owned(),
        "hchan" => "runtime.hchan".to_owned(),
        "sudog" => "runtime.sudog".to_owned(),
        "waitq" => "runtime.waitq".to_owned(),
        "map" => "internal/runtime/maps.Map".to_owned(),
        "table" => "internal/runtime/maps.table".to_owned(),
        "*table" => "*internal/runtime/maps.table".to_owned(),
        "bucket" => match split_arguments(arguments) {
            Some((key, value)) => format!("map.bucket[{key}]{value}"),
            None => name.to_owned(),
        },
        _ => name.to_owned(),
    }
}

/// `K,V` at the one comma that no bracket encloses.
fn split_arguments(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    let mut at = None;
    for (i, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth -= 1,
            ',' if depth == 0 && at.is_some() => return None,
            ',' if depth == 0 => at = Some(i),
            _ => {}
        }
    }
    at.map(|i| (&text[..i], &text[i + 1..]))
}

/// The object's type in Go syntax; `room` is the number of bytes that it fills.
pub(crate) fn view_name(types: &Types, view: View, room: u64) -> String {
    let name = allocated_name(types, view.ty);
    match view.form {
        Form::One | Form::Opaque => name,
        Form::Many => format!("[{}]{name}", room / types.get(view.ty).size.max(1)),
        Form::Text => "string".to_owned(),
    }
}

/// How a reference to an object that `ty` fills in this way is written: `*T`, `[]T`, `string`, `map[K]V`,
/// `func pkg.f.func1`.
pub(crate) fn reference_name(types: &Types, ty: TypeId, form: Form) -> String {
    let name = short(&allocated_name(types, ty));
    match form {
        _ if name.starts_with("func ") => name,
        Form::One | Form::Opaque => format!("*{name}"),
        Form::Many => format!("[]{name}"),
        Form::Text => "string".to_owned(),
    }
}

/// What can be said of an object of which nothing is known: the size of its slot, in bytes.
pub(crate) fn size_class(size: u64) -> String {
    if size > 32768 {
        "[large]".to_owned()
    } else {
        format!("[{size} B]")
    }
}

/// `ty` as declared, shortened.
pub(crate) fn type_name(types: &Types, ty: TypeId) -> String {
    match &types.get(ty) {
        this if this.kind == Kind::Struct && this.name.is_empty() => "struct {…}".to_owned(),
        this => short(&this.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_drop_directories_only() {
        assert_eq!(short("*github.com/a/b-c.T"), "*b-c.T");
        assert_eq!(short("map[string]*example.com/x/y.Z"), "map[string]*y.Z");
        assert_eq!(
            short("func(a/b.T) (c/d.E, error)"),
            "func(b.T) (d.E, error)"
        );
        assert_eq!(short("pkg.Box[a/b.T,c/d.U]"), "pkg.Box[b.T,d.U]");
        assert_eq!(
            short("struct { a/b.x int; y string }"),
            "struct { b.x int; y string }"
        );
        assert_eq!(short("int"), "int");
    }

    #[test]
    fn arguments_split_at_the_outer_comma() {
        assert_eq!(split_arguments("string,int"), Some(("string", "int")));
        assert_eq!(
            split_arguments("a.B[int,string],func(int, int)"),
            Some(("a.B[int,string]", "func(int, int)"))
        );
        assert_eq!(split_arguments("int"), None);
        assert_eq!(split_arguments("a,b,c"), None);
    }
}

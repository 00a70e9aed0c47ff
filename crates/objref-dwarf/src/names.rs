//! DWARF names as Go source would spell them.

use std::borrow::Cow;

use memchr::memchr2_iter;

/// Undoes what the toolchain does to names: `%2e` escapes of import paths
/// (cmd/internal/objabi/path.go `PathToPrefix`) and the `noalg.` prefix of types without
/// hash and equality functions (cmd/compile/internal/types/fmt.go).
///
/// Text between double quotes (struct tags) is left alone.
pub(crate) fn go_name(raw: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(raw);
    let bytes = text.as_bytes();
    let is_plain = |at| bytes[at] == b'.' && !bytes[..at].ends_with(b"noalg");
    if memchr2_iter(b'.', b'%', bytes).all(is_plain) {
        return text;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let mut quoted = false;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'"' {
            quoted = !quoted;
        } else if quoted && byte == b'\\' && at + 1 < bytes.len() {
            out.push(byte);
            at += 1;
        } else if !quoted && byte == b'%' {
            if let Some(plain) = escape(&bytes[at + 1..]) {
                out.push(plain);
                at += 3;
                continue;
            }
        } else if !quoted && bytes[at..].starts_with(b"noalg.") && starts_type(out.last()) {
            at += b"noalg.".len();
            continue;
        }
        out.push(bytes[at]);
        at += 1;
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// The byte that two lower-case hexadecimal digits stand for.
fn escape(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    Some(digit(*digits.first()?)? << 4 | digit(*digits.get(1)?)?)
}

/// Whether a type's name can begin after `before` (and not the middle of an identifier or path).
fn starts_type(before: Option<&u8>) -> bool {
    match before {
        None => true,
        Some(byte) => matches!(byte, b'*' | b'[' | b']' | b'(' | b',' | b' ' | b'<' | b'{'),
    }
}

#[cfg(test)]
mod tests {
    use super::go_name;

    #[test]
    fn escapes_and_prefixes() {
        assert_eq!(go_name(b"main.Node"), "main.Node");
        assert_eq!(go_name(b"gopkg.in/yaml%2ev3.Node"), "gopkg.in/yaml.v3.Node");
        assert_eq!(
            go_name(b"*noalg.map.group[string]int"),
            "*map.group[string]int"
        );
        assert_eq!(
            go_name(b"noalg.struct { F uintptr }"),
            "struct { F uintptr }"
        );
        assert_eq!(go_name(b"a/noalg.T"), "a/noalg.T");
        assert_eq!(go_name(b"noalg.noalg.T"), "T");
        assert_eq!(go_name(b"100%"), "100%");
        assert_eq!(go_name(b"%2"), "%2");
        assert_eq!(go_name(b"%ff"), "\u{fffd}");
    }

    #[test]
    fn struct_tags_stay() {
        let name = br#"struct { A int "json:\"%2e noalg.\""; B x%2ey.T }"#;
        let plain = r#"struct { A int "json:\"%2e noalg.\""; B x.y.T }"#;
        assert_eq!(go_name(name), plain);
    }
}

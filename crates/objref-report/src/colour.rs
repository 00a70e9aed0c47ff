//! The colour of a frame: a hue per package, a shade per name.

/// Frames that stand for what was cut off.
const CUT: [u8; 3] = [214, 214, 214];
/// What has no type.
const UNKNOWN: [u8; 3] = [226, 226, 226];

/// The colour of the frame called `name`; the same for the same name, always.
pub(crate) fn colour(name: &str, is_cut: bool) -> [u8; 3] {
    if is_cut {
        return CUT;
    }
    if name.split(' ').any(|word| word.starts_with('?')) {
        return UNKNOWN;
    }
    let shade = fnv(name) as f64 / u64::MAX as f64;
    match package(name) {
        // The program's own package: the colour of flames.
        Some("main") => hsl(18.0 + 30.0 * shade, 0.86, 0.68),
        // The hues between, for all others.
        Some(package) => hsl(
            70.0 + (fnv(package) % 270) as f64,
            0.42,
            0.68 + 0.12 * shade,
        ),
        // string, []uint8, (finalizers), ...
        None => hsl(48.0, 0.45, 0.76 + 0.10 * shade),
    }
}

/// The package of the last qualified name in a frame's name: `net/http` of `conn *net/http.conn`,
/// `main` of `[value] map[string]main.Order`.
fn package(name: &str) -> Option<&str> {
    let part_of_path = |c: char| c.is_alphanumeric() || "_./-~%@".contains(c);
    name.split(|c: char| !part_of_path(c))
        .rev()
        .find_map(|word| {
            let base = word.rfind('/').map_or(0, |slash| slash + 1);
            let dot = base + word[base..].find('.')?;
            let package = &word[..dot];
            let named = package.starts_with(|c: char| c.is_alphabetic() || c == '_');
            named.then_some(package)
        })
}

/// FNV-1a.
fn fnv(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Its high bits alone do not tell short names apart.
    hash ^ (hash >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn hsl(hue: f64, saturation: f64, lightness: f64) -> [u8; 3] {
    let chroma = (1.0 - (2.0 * lightness - 1.0).abs()) * saturation;
    [0.0, 8.0, 4.0].map(|n| {
        let k = (n + hue / 30.0) % 12.0;
        let side = (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        ((lightness - chroma / 2.0 * side) * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::{colour, hsl, package};

    #[test]
    fn packages() {
        for (name, expected) in [
            ("main.cache", Some("main")),
            ("main.(*Server).Serve", Some("main")),
            ("next *main.node", Some("main")),
            ("conn *net/http.conn", Some("net/http")),
            ("[value] github.com/a/b.v2.Thing", Some("github.com/a/b")),
            ("x *gopkg.in/yaml.v3.Node", Some("gopkg.in/yaml")),
            ("[value] map[string]main.Order", Some("main")),
            ("p sync.Pool[main.Order]", Some("main")),
            ("[]uint8", None),
            ("data string", None),
            ("(finalizers)", None),
            ("?", None),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(package(name), expected, "{name}");
        }
    }

    #[test]
    fn one_hue_per_package() {
        assert_eq!(colour("a *x.A", false), colour("a *x.A", false));
        assert_ne!(colour("a *x.A", false), colour("a *y.A", false));
        assert_ne!(colour("a *x.A", false), colour("a *x.A", true));
        assert_eq!(hsl(0.0, 1.0, 0.5), [255, 0, 0]);
        assert_eq!(hsl(120.0, 1.0, 0.5), [0, 255, 0]);
        assert_eq!(hsl(240.0, 1.0, 0.5), [0, 0, 255]);
    }
}

"""Names that try to be more than text, put into a program whose compiler would not have them."""

import os
import shutil

LENGTH = 32
# Of fixtures/hostile: placeholders of this length, `Evil3TypeXXXX...`; the number says which name.
KINDS = ("Type", "Var", "Away")
NAMES = (
    b"</script><script>ran=1</script>x",
    b"<img src=x onerror=window.ran=1>",
    b"\x1b]0;title\x07\x1b[31mred\x1b[2J\x9b5m\x08\x08\x7f....",
    b"a\" onload='ran=1';b;c 9 7; \\\"{}",
    b"line\r\nbreak\n::error::said;\n1 3\t",
    b"\xff\xfe\xc0\x80\xed\xa0\x80 not UTF-8 \xf8\x88\x80\x80\x80....",
    b"]]>--><!--&lt;&#0;%0A${ran=1}`|*",
    "\u202egnp.exe\u2066|\u2028 [x](j:1)".encode(),
)
# No slash and no NUL, else anything.
FILE_NAME = b"<svg onload=ran=1>\"';\x1b[31m\n::error::\xff&amp;"


def placeholder(number, kind):
    """A name that Go's compiler takes."""
    return f"Evil{number}{kind}".ljust(LENGTH, "X").encode()


def run_as(exe, folder):
    """A copy of the executable with hostile names in it, under a hostile name of its own."""
    data = exe.read_bytes()
    for number, name in enumerate(NAMES):
        name = name.ljust(LENGTH, b".")
        assert len(name) == LENGTH and b"\0" not in name, name
        for kind in KINDS:
            assert data.count(placeholder(number, kind)) > 2, (number, kind)
            data = data.replace(placeholder(number, kind), name)
    target = folder / os.fsdecode(FILE_NAME)
    target.write_bytes(data)
    shutil.copymode(exe, target)
    return target

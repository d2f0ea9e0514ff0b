//! Strings of events on a terminal: whatever could move the cursor, colour, reorder or hide text is spelled out instead.

use std::borrow::Cow;

/// Whether a character must not reach a terminal.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line: newlines are spelled out too.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Columns that a character takes.
pub(super) fn columns(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0xfe00..=0xfe0f | 0x20d0..=0x20ff => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The text as lines of at most `width` columns, escaped. Breaks at spaces where it can.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.replace("\r\n", "\n").split('\n') {
        wrap_line(&escaped(line), width.max(1), &mut lines);
    }
    lines
}

fn wrap_line(text: &str, width: usize, lines: &mut Vec<String>) {
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split_inclusive(' ') {
        let needed: usize = word.trim_end().chars().map(columns).sum();
        if used > 0 && used + needed > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        for c in word.chars() {
            if used + columns(c) > width {
                // A space that would begin a line is where the break is.
                lines.push(std::mem::take(&mut line));
                used = 0;
                if c == ' ' {
                    continue;
                }
            }
            used += columns(c);
            line.push(c);
        }
    }
    lines.push(line.trim_end().to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_that_controls_a_terminal_is_left(text in any::<String>(), width in 1_usize..120) {
            for line in wrapped(&text, width) {
                prop_assert!(!line.chars().any(is_unsafe));
                prop_assert!(line.chars().map(columns).sum::<usize>() <= width.max(2));
            }
        }
    }

    #[test]
    fn escapes_show_what_they_stand_for() {
        assert_eq!(escaped("\x1b[2Ja\u{202e}b\u{9b}"), "\\u{1b}[2Ja\\u{202e}b\\u{9b}");
        assert_eq!(wrapped("one two\nthree", 5), ["one", "two", "three"]);
    }
}

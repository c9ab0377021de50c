//! Bare words: which characters they may have.

const START: u8 = 1;
const PART: u8 = 2;

/// For ASCII: may start a word, may go on in it.
static ASCII: [u8; 128] = {
    let mut table = [0; 128];
    let mut c = 0;
    while c < 128 {
        table[c] = match c as u8 {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => START | PART,
            b'0'..=b'9' | b'-' => PART,
            _ => 0,
        };
        c += 1;
    }
    table
};

#[inline(always)]
pub(crate) fn is_ascii_start(c: u8) -> bool {
    c < 128 && ASCII[usize::from(c)] & START != 0
}

#[inline(always)]
pub(crate) fn is_ascii_part(c: u8) -> bool {
    c < 128 && ASCII[usize::from(c)] & PART != 0
}

pub(crate) fn is_start(c: char) -> bool {
    match c as u32 {
        c @ 0..128 => ASCII[c as usize] & START != 0,
        0xC0..=0xD6 | 0xD8..=0xF6 | 0xF8..=0x2FF | 0x370..=0x37D | 0x37F..=0x1FFF | 0x200C..=0x200D => true,
        0x2070..=0x218F | 0x2C00..=0x2FEF | 0x3001..=0xD7FF | 0xF900..=0xFDCF | 0xFDF0..=0xFFFD => true,
        0x1_0000..=0xE_FFFF => true,
        _ => false,
    }
}

pub(crate) fn is_part(c: char) -> bool {
    is_start(c) || matches!(c, '-' | '0'..='9' | '\u{B7}' | '\u{300}'..='\u{36F}' | '\u{203F}'..='\u{2040}')
}

/// Whether swim-java takes this text as one bare word.
pub(crate) fn is_ident(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_start) && chars.all(is_part)
}

/// Whether every peer reads this text, written bare, as that text.
#[inline]
pub(crate) fn is_safe_ident(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Some((&first, rest)) = bytes.split_first() else { return false };
    is_ascii_start(first) && rest.iter().all(|&c| is_ascii_part(c)) && text != "true" && text != "false"
}

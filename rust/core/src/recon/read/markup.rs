//! Markup: text between `[` and `]`, with attributes, braces and brackets in it.

use std::borrow::Cow;

use super::{Frame, Kind, Place, Reader, State};
use crate::recon::build::Build;

impl<'a, B: Build<'a>> Reader<'a, B> {
    /// The text of `[…]` up to what is no text.
    pub(super) fn markup(&mut self) -> Result<(), B::Error> {
        let opened = self.scan.at;
        let mut text: Cow<'a, str> = Cow::Borrowed("");
        loop {
            let start = self.scan.at;
            while let Some(c) = self.scan.peek()
                && !matches!(c, b'@' | b'[' | b']' | b'{' | b'}' | b'\\')
            {
                self.scan.at += 1;
            }
            let run = &self.scan.text[start..self.scan.at];
            match &mut text {
                Cow::Borrowed("") => text = Cow::Borrowed(run),
                text => text.to_mut().push_str(run),
            }
            match self.scan.peek() {
                Some(b'\\') => {
                    let c = self.scan.escape(false).map_err(|fault| *fault)?;
                    text.to_mut().push(c);
                }
                Some(b'}') => return Err(self.unexpected("`]`: write \\} in markup").into()),
                None => return Err(self.unexpected("`]`").into()),
                _ => break,
            }
        }
        if self.scan.at > opened {
            let value = self.build.text(text)?;
            self.push(value)?;
        }
        match self.scan.peek() {
            Some(b'@') => self.attribute(),
            Some(b']') => self.close_record(),
            c => {
                let kind = if c == Some(b'{') { Kind::Braces } else { Kind::Markup };
                let state = if matches!(kind, Kind::Markup) { State::Markup } else { State::Item };
                let record = self.frame.record.take();
                self.open_frame(Frame::new(kind, Place::Spliced, record))?;
                self.state = state;
                Ok(())
            }
        }
    }
}

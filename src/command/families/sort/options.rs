//! The words that follow the key.

use super::pattern::Pattern;
use crate::command::CommandError;
use crate::command::args::int;
use smallvec::SmallVec;
use std::ops::Range;

/// What a SORT asks for.
#[derive(Default)]
pub(super) struct Options<'a> {
    /// The weights; `None` sorts by the elements themselves.
    pub by: Option<Pattern<'a>>,
    /// Takes the elements in the order in which the key has them: BY named no pattern.
    pub unsorted: bool,
    /// What is returned for each element; nothing means the element.
    pub gets: SmallVec<[Pattern<'a>; 4]>,
    /// LIMIT's offset.
    pub offset: i64,
    /// LIMIT's count; negative for all.
    pub count: Option<i64>,
    /// From the greatest to the least.
    pub descending: bool,
    /// Weights are compared as texts.
    pub alpha: bool,
    /// The list to make.
    pub store: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Reads what follows the key.
    pub fn parse(args: &[&'a [u8]], may_store: bool) -> Result<Self, CommandError> {
        let mut options = Options::default();
        let mut rest = args;
        while let [word, others @ ..] = rest {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            rest = match others {
                others if is("asc") || is("desc") => {
                    options.descending = is("desc");
                    others
                }
                others if is("alpha") => {
                    options.alpha = true;
                    others
                }
                [offset, count, others @ ..] if is("limit") => {
                    (options.offset, options.count) = (int(offset)?, Some(int(count)?));
                    others
                }
                [key, others @ ..] if is("store") && may_store => {
                    options.store = Some(*key);
                    others
                }
                [pattern, others @ ..] if is("by") => {
                    options.take_by(pattern);
                    others
                }
                [pattern, others @ ..] if is("get") => {
                    options.gets.push(Pattern::parse(pattern));
                    others
                }
                _ => return Err(CommandError::Syntax),
            };
        }
        Ok(options)
    }

    /// The last BY counts, but one without a `*` ends all sorting.
    fn take_by(&mut self, pattern: &'a [u8]) {
        let pattern = Pattern::parse(pattern);
        self.unsorted |= !matches!(pattern, Pattern::Key { .. });
        self.by = Some(pattern);
    }

    /// The first option, BY or GET, that has keys read which are not named, or might; as far as the arguments are right.
    pub fn first_lookup(args: &[&[u8]], may_store: bool) -> Option<&'static str> {
        let mut rest = args;
        while let [word, others @ ..] = rest {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            rest = match others {
                others if is("asc") || is("desc") || is("alpha") => others,
                [offset, count, others @ ..] if is("limit") && int(offset).and(int(count)).is_ok() => others,
                [_, others @ ..] if is("store") && may_store => others,
                [pattern, ..] if is("by") && pattern.contains(&b'*') => return Some("BY"),
                [_, others @ ..] if is("by") => others,
                [_, ..] if is("get") => return Some("GET"),
                _ => return None,
            };
        }
        None
    }

    /// Whether keys are read that the arguments do not name.
    pub fn reads_unnamed_keys(&self) -> bool {
        let weights = self.by.iter().filter(|_| !self.unsorted);
        weights.chain(&self.gets).any(|pattern| matches!(pattern, Pattern::Key { .. }))
    }

    /// Which of `len` elements, in order, are wanted.
    pub fn range(&self, len: usize) -> Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(0).min(len);
        let count = self.count.map_or(len, |count| usize::try_from(count).unwrap_or(len));
        start..start.saturating_add(count).min(len)
    }
}

//! Where our replies differ on purpose; docs/differences.md tells users the same.

use super::compare::Replies;
use super::grammar::Arg;

/// One intended difference.
pub struct Difference {
    /// The command, in upper case.
    pub command: &'static str,
    /// Does it explain these replies?
    pub explains: fn(&[Arg], &Replies) -> bool,
    /// Why; the same words stand in docs/differences.md.
    pub why: &'static str,
}

/// All of them.
pub const INTENDED: &[Difference] = &[];

/// The difference that explains these replies.
pub fn intended(args: &[Arg], replies: &Replies) -> Option<&'static Difference> {
    let name = args[0].to_ascii_uppercase();
    INTENDED.iter().find(|it| it.command.as_bytes() == name && (it.explains)(args, replies))
}

#[test]
fn users_are_told() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/differences.md"));
    for it in INTENDED {
        assert!(
            page.contains(it.why) && page.contains(it.command),
            "docs/differences.md lacks {}: {}",
            it.command,
            it.why
        );
    }
}

//! The programs that lie beside the server's: what `outrigger TOOL` runs, and what man pages and completions are made of.

/// A program beside the server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program {
    /// Its file name.
    pub name: &'static str,
    /// The word that runs it, behind `outrigger`; empty if none does.
    pub word: &'static str,
    /// What it does.
    pub what: &'static str,
}

const fn program(name: &'static str, word: &'static str, what: &'static str) -> Program {
    Program { name, word, what }
}

/// All of them. A configuration file that is named like one is given with its folder: `outrigger ./restore`.
pub const PROGRAMS: &[Program] = &[
    program("aof-check", "aof-check", "Verifies append-only files"),
    program("aof-rewrite", "aof-rewrite", "Writes a history as one base, in a new folder"),
    program("outrigger-backup", "backup", "Takes, lists and verifies backups of a running replica's files"),
    program("outrigger-diff", "diff", "Compares two data sets"),
    program("outrigger-manual", "", "Writes man pages and shell completions"),
    program("rdb-check", "rdb-check", "Verifies a snapshot"),
    program("restore", "restore", "Brings a state back: into a new folder, or a running server"),
];

/// Those that the server's program runs.
pub fn tools() -> impl Iterator<Item = &'static Program> {
    PROGRAMS.iter().filter(|program| !program.word.is_empty())
}

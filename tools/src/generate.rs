//! Man pages and shell completions, from the same definitions that the programs parse their arguments by. So nothing has to be
//! kept in step by hand: `PROGRAM --generate man|bash|zsh|fish` prints them, and `outrigger-manual` writes all to a folder.

use clap::{Arg, ArgAction, Command, CommandFactory, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use outrigger::pair::PairArgs;
use outrigger::persistence::toolbox::programs::tools;
use outrigger::server::config::directives;
use std::ffi::OsString;
use std::io::{self, Write};

/// The option that prints them. Not shown in the help: packagers use it, and `outrigger-manual`.
pub const OPTION: &str = "--generate";

/// What can be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A man page.
    Man,
    /// Completions for a shell.
    Completions(Shell),
}

/// All kinds, and the words for them.
pub const KINDS: [(&str, Kind); 4] = [
    ("man", Kind::Man),
    ("bash", Kind::Completions(Shell::Bash)),
    ("zsh", Kind::Completions(Shell::Zsh)),
    ("fish", Kind::Completions(Shell::Fish)),
];

impl Kind {
    /// Where a program's file of this kind goes, inside a folder of all.
    pub fn file(self, program: &str) -> String {
        match self {
            Kind::Man => format!("man/man1/{program}.1"),
            Kind::Completions(Shell::Zsh) => format!("zsh/_{program}"),
            Kind::Completions(Shell::Fish) => format!("fish/{program}.fish"),
            Kind::Completions(_) => format!("bash/{program}"),
        }
    }
}

/// What was asked for, if the arguments (without the program's name) begin with [`OPTION`].
pub fn asked(mut args: impl Iterator<Item = OsString>) -> Option<Result<Kind, String>> {
    args.next().filter(|first| first == OPTION)?;
    let word = args.next().unwrap_or_default();
    let found = KINDS.iter().find(|(name, _)| word == *name).map(|(_, kind)| *kind);
    Some(found.ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        format!("{OPTION} takes one of {}", known.join(", "))
    }))
}

/// The page or the script for a program of this name.
pub fn generate(command: Command, name: &'static str, kind: Kind) -> io::Result<Vec<u8>> {
    let mut command = command.name(name).bin_name(name);
    let mut out = Vec::new();
    match kind {
        Kind::Completions(shell) => clap_complete::generate(shell, &mut command, name, &mut out),
        Kind::Man => {
            command.build();
            Man::new(command.clone()).render(&mut out)?;
            for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
                let title = format!("{name} {}", subcommand.get_name()).to_uppercase();
                writeln!(out, ".SH \"{title}\"")?;
                let man = Man::new(subcommand.clone());
                man.render_synopsis_section(&mut out)?;
                man.render_description_section(&mut out)?;
                if subcommand.get_arguments().next().is_some() {
                    man.render_options_section(&mut out)?;
                }
            }
        }
    }
    Ok(out)
}

/// The `outrigger` program, whose directives are those of redis.conf and no business of a parser of arguments.
pub fn server_command() -> Command {
    let tools = tools().map(|program| {
        let rest = Arg::new("args").num_args(0..).trailing_var_arg(true).allow_hyphen_values(true);
        let rest = rest
            .value_name("ARGUMENT")
            .help(format!("Those of the program {}; see its own page", program.name));
        Command::new(program.word).about(program.what).arg(rest)
    });
    let directives = directives().filter(|directive| !directive.hidden).map(|directive| {
        let help = match directive.summary {
            "" => "A directive of redis.conf",
            summary => summary,
        };
        let arg = Arg::new(directive.name).long(directive.name).value_name("VALUE").help(help);
        arg.action(ArgAction::Append).num_args(1..).help_heading("Directives")
    });
    Command::new("outrigger")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A Redis-compatible in-memory store whose primary only serves and whose replicas remember")
        .long_about(
            "Runs one server, a supervised pair of servers (`outrigger pair`), or an offline tool that lies beside it \
             (`outrigger TOOL`). Directives are those of redis.conf, on the command line with two dashes before them; \
             docs/configuration.md lists them.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .help("A configuration file in the form of redis.conf; `-` reads more from the standard input"),
        )
        .args(directives)
        .subcommand(PairArgs::command().name("pair"))
        .subcommands(tools)
}

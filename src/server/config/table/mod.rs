//! The table of directives: the one place that knows their names, kinds, bounds and meanings.

mod fixed;
mod network;
mod persistence;
mod process;
mod replication;
mod storage;
mod users;

use super::error::Refusal;
use super::settings::{Config, Role};
use super::values;

/// Where a value comes from. Lists grow line by line in files, and are replaced whole at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file or the command line.
    File,
    /// CONFIG SET.
    Runtime,
}

/// The words of one argument list, without the directive's name.
pub type Args = Vec<Vec<u8>>;

/// Checks arguments and writes them to the configuration.
pub type Setter = fn(&mut Config, &[Vec<u8>], Origin) -> Result<(), Refusal>;

/// How a directive's value is read from and written to [`Config`].
pub enum Kind {
    /// `yes` or `no`.
    YesNo {
        /// Reads the field.
        get: fn(&Config) -> bool,
        /// Writes the field.
        set: fn(&mut Config, bool),
    },
    /// A decimal integer.
    Integer {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
        /// Reads the field.
        get: fn(&Config) -> i64,
        /// Writes the field; the value is within bounds.
        set: fn(&mut Config, i64),
    },
    /// An amount of memory in bytes, with units.
    Memory {
        /// Least value.
        min: u64,
        /// Greatest value.
        max: u64,
        /// Reads the field.
        get: fn(&Config) -> u64,
        /// Writes the field; the value is within bounds.
        set: fn(&mut Config, u64),
    },
    /// File permissions in octal.
    Octal {
        /// Greatest value.
        max: u32,
        /// Reads the field.
        get: fn(&Config) -> u32,
        /// Writes the field.
        set: fn(&mut Config, u32),
    },
    /// One of a few words.
    Word {
        /// Every word Redis knows, in the order it lists them.
        words: &'static [&'static str],
        /// The word in force.
        get: fn(&Config) -> &'static str,
        /// Sets the word at an index of `words`.
        set: fn(&mut Config, usize),
    },
    /// Any bytes, as one argument.
    Text {
        /// Reads the field.
        get: fn(&Config) -> Vec<u8>,
        /// Checks and writes the field.
        set: fn(&mut Config, &[u8]) -> Result<(), Refusal>,
    },
    /// Several arguments or rules of its own.
    Special {
        /// What the arguments look like, for the documentation.
        form: &'static str,
        /// Whether it is a list of words rather than exactly one argument.
        list: bool,
        /// The value in force for a role.
        get: fn(&Config, Role) -> Vec<u8>,
        /// Checks and writes the field.
        set: Setter,
        /// The argument lists of the lines that bring the setting about; empty when it was not set.
        lines: fn(&Config) -> Vec<Args>,
    },
    /// A directive of Redis that has one value here: others are refused as not supported.
    Fixed {
        /// What CONFIG GET reports.
        value: &'static str,
        /// Further values that are taken because they change nothing here.
        also: &'static [&'static str],
    },
}

/// One row of the table.
pub struct Directive {
    /// The name documentation and REWRITE use.
    pub name: &'static str,
    /// Older names of the same directive.
    pub aliases: &'static [&'static str],
    /// How its value is read and written.
    pub kind: Kind,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Can CONFIG SET change it?
    pub mutable: bool,
    /// Does CONFIG SET need `enable-protected-configs`?
    pub protected: bool,
    /// Must its value be kept out of logs, the slow log and MONITOR?
    pub sensitive: bool,
    /// Is it meant for one start only, so that REWRITE drops it?
    pub transient: bool,
    /// Is it a tool of tests, which only who knows its name finds? Patterns of CONFIG GET, REWRITE and the page of
    /// directives leave it out.
    pub hidden: bool,
    /// Does it stand in files only, where CONFIG GET and SET do not know it?
    pub only_in_files: bool,
    /// Does a line of its name alone mean a list without words? Otherwise it is an error.
    pub bare: bool,
    /// The arguments that undo earlier lines, where a missing or later line would not.
    pub start_over: &'static [&'static str],
    /// The default in words, where it is no plain value.
    pub default_note: Option<&'static str>,
}

impl Directive {
    const fn new(name: &'static str, kind: Kind, summary: &'static str) -> Self {
        Directive {
            name,
            aliases: &[],
            kind,
            summary,
            mutable: true,
            protected: false,
            sensitive: false,
            transient: false,
            hidden: false,
            only_in_files: false,
            bare: false,
            start_over: &[],
            default_note: None,
        }
    }

    const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn immutable(mut self) -> Self {
        self.mutable = false;
        self
    }

    const fn protected(mut self) -> Self {
        self.protected = true;
        self
    }

    const fn sensitive(mut self) -> Self {
        self.sensitive = true;
        self
    }

    const fn transient(mut self) -> Self {
        self.transient = true;
        self
    }

    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    const fn only_in_files(mut self) -> Self {
        self.only_in_files = true;
        self
    }

    const fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    const fn start_over(mut self, args: &'static [&'static str]) -> Self {
        self.start_over = args;
        self
    }

    const fn default_note(mut self, note: &'static str) -> Self {
        self.default_note = Some(note);
        self
    }

    /// Does the directive take a list of words?
    pub fn takes_list(&self) -> bool {
        match &self.kind {
            Kind::Special { list, .. } => *list,
            // Words in the value: the stock spelling of the directive has several arguments.
            Kind::Fixed { value, .. } => value.contains(' '),
            _ => false,
        }
    }

    /// The value as CONFIG GET prints it.
    pub fn show(&self, config: &Config, role: Role) -> Vec<u8> {
        match &self.kind {
            Kind::YesNo { get, .. } => values::yes_no_word(get(config)).into(),
            Kind::Integer { get, .. } => get(config).to_string().into(),
            Kind::Memory { get, .. } => get(config).to_string().into(),
            Kind::Octal { get, .. } => format!("{:o}", get(config)).into(),
            Kind::Word { get, .. } => get(config).into(),
            Kind::Text { get, .. } => get(config),
            Kind::Special { get, .. } => get(config, role),
            Kind::Fixed { value, .. } => (*value).into(),
        }
    }

    /// Takes the arguments of one line or of one CONFIG SET.
    pub(super) fn take(&self, config: &mut Config, args: &[Vec<u8>], origin: Origin) -> Result<(), Refusal> {
        if let Kind::Special { set, .. } = &self.kind {
            return set(config, args, origin);
        }
        if let Kind::Fixed { value, also } = &self.kind {
            let given = args.join(&b' ');
            let known = |word: &&str| given.eq_ignore_ascii_case(word.as_bytes());
            return match known(value) || also.iter().any(known) {
                true => Ok(()),
                false => Err(not_supported(self.name)),
            };
        }
        let [arg] = args else { return Err("wrong number of arguments".into()) };
        match &self.kind {
            Kind::YesNo { set, .. } => set(config, values::yes_no(arg)?),
            Kind::Integer { min, max, set, .. } => set(config, values::integer(arg, *min, *max)?),
            Kind::Memory { min, max, set, .. } => set(config, values::memory(arg, *min, *max)?),
            Kind::Octal { max, set, .. } => set(config, values::octal(arg, *max)?),
            Kind::Word { words, set, .. } => set(config, values::word_index(arg, words)?),
            Kind::Text { set, .. } => set(config, arg)?,
            Kind::Special { .. } | Kind::Fixed { .. } => {}
        }
        Ok(())
    }

    /// The argument lists of the lines that bring this setting about.
    pub(super) fn lines(&self, config: &Config) -> Vec<Args> {
        match &self.kind {
            Kind::Special { lines, .. } => lines(config),
            Kind::Memory { get, .. } => vec![vec![values::memory_spelled(get(config)).into()]],
            Kind::Fixed { value, .. } if self.takes_list() => {
                vec![value.split(' ').map(|word| word.as_bytes().to_vec()).collect()]
            }
            // The role matters to specials only.
            _ => vec![vec![self.show(config, Role::Primary)]],
        }
    }
}

/// The refusal of a value or directive of Redis that is not supported here.
pub(super) fn not_supported(name: &str) -> Refusal {
    format!("directive '{name}' is known but not supported yet").into()
}

/// Directives under a common heading.
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// Its rows.
    pub directives: &'static [Directive],
}

/// Every directive there is.
pub static TABLE: &[Group] = &[
    Group { title: "Network and clients", directives: network::DIRECTIVES },
    Group { title: "Users", directives: users::DIRECTIVES },
    Group { title: "The process", directives: process::DIRECTIVES },
    Group { title: "Persistence", directives: persistence::DIRECTIVES },
    Group { title: "Replication", directives: replication::DIRECTIVES },
    Group { title: "Memory and encodings", directives: storage::DIRECTIVES },
    Group { title: "Known, with one value", directives: fixed::DIRECTIVES },
];

/// Every row, in table order.
pub fn directives() -> impl Iterator<Item = &'static Directive> {
    TABLE.iter().flat_map(|group| group.directives)
}

/// The directive of this name or alias, case ignored.
pub fn find(name: &[u8]) -> Option<&'static Directive> {
    directives().find(|d| names(d).any(|n| name.eq_ignore_ascii_case(n.as_bytes())))
}

/// The name of a directive, then its aliases.
pub(super) fn names(directive: &Directive) -> impl Iterator<Item = &'static str> {
    std::iter::once(directive.name).chain(directive.aliases.iter().copied())
}

/// Directives of Redis that only make sense in a file, and are refused there.
pub(super) const REFUSED_IN_FILES: &[&str] = &["loadmodule", "rename-command", "sentinel"];

const INT_MAX: i64 = i32::MAX as i64;

/// A `yes`/`no` row for a `bool` field.
macro_rules! yes_no {
    ($name:literal, $field:ident, $summary:literal) => {
        Directive::new($name, Kind::YesNo { get: |c| c.$field, set: |c, value| c.$field = value }, $summary)
    };
}

/// An integer row; the bounds must fit the field's type.
macro_rules! integer {
    ($name:literal, $field:ident: $type:ty, $min:expr, $max:expr, $summary:literal) => {
        Directive::new(
            $name,
            Kind::Integer {
                min: $min,
                max: $max,
                get: |c| c.$field as i64,
                set: |c, value| c.$field = value as $type,
            },
            $summary,
        )
    };
}

/// A memory row; the bounds must fit the field's type.
macro_rules! memory {
    ($name:literal, $field:ident: $type:ty, $min:expr, $max:expr, $summary:literal) => {
        Directive::new(
            $name,
            Kind::Memory {
                min: $min,
                max: $max,
                get: |c| c.$field as u64,
                set: |c, value| c.$field = value as $type,
            },
            $summary,
        )
    };
}

/// A row for a field of one of the word enums.
macro_rules! word {
    ($name:literal, $field:ident: $type:ty, $summary:literal) => {
        Directive::new(
            $name,
            Kind::Word {
                words: <$type>::WORDS,
                get: |c| c.$field.word(),
                set: |c, index| {
                    if let Some(value) = <$type>::at(index) {
                        c.$field = value;
                    }
                },
            },
            $summary,
        )
    };
}

/// A row for a `String` field that takes any UTF-8.
macro_rules! text {
    ($name:literal, $field:ident, $summary:literal) => {
        Directive::new(
            $name,
            Kind::Text {
                get: |c| c.$field.clone().into_bytes(),
                set: |c, value| {
                    c.$field = $crate::server::config::values::text(value)?;
                    Ok(())
                },
            },
            $summary,
        )
    };
}

/// A row for a `String` field that holds a bare file name.
macro_rules! file_name {
    ($name:literal, $field:ident, $summary:literal) => {
        Directive::new(
            $name,
            Kind::Text {
                get: |c| c.$field.clone().into_bytes(),
                set: |c, value| {
                    c.$field = $crate::server::config::values::file_name(value, $name)?;
                    Ok(())
                },
            },
            $summary,
        )
    };
}

/// A row for a [`super::settings::Secret`] field.
macro_rules! secret {
    ($name:literal, $field:ident, $summary:literal) => {
        Directive::new(
            $name,
            Kind::Text {
                get: |c| c.$field.0.clone(),
                set: |c, value| {
                    c.$field.0 = value.to_vec();
                    Ok(())
                },
            },
            $summary,
        )
        .sensitive()
    };
}

use {file_name, integer, memory, secret, text, word, yes_no};

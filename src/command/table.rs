//! The shape of the command table: one [`Command`] a command, and key extraction as a fold over it.

use super::context::Context;
use super::error::CommandError;

/// What a handler ended with.
pub enum Outcome {
    /// The reply is written.
    Done,
    /// The client must wait; nothing was written.
    Block(Block),
    /// A long walk over the keyspace; nothing was written yet. The caller steps it, letting others in
    /// between, and then has it write the reply.
    Walk(Box<dyn Walk>),
}

/// A handler's result; an error is written as the reply by the caller.
pub type CommandResult = Result<Outcome, CommandError>;

/// The usual good end of a handler.
pub const DONE: CommandResult = Ok(Outcome::Done);

/// A keyspace handler: `args[0]` is the command's name.
pub type Handler = fn(&mut Context<'_, '_>, &[&[u8]]) -> CommandResult;

/// A walk over the keyspace in slices; each step locks at most one shard for a short while.
pub trait Walk: Send {
    /// Does one slice; true when the walk is over.
    fn step(&mut self, context: &mut Context<'_, '_>) -> bool;
    /// Writes the reply.
    fn finish(self: Box<Self>, context: &mut Context<'_, '_>);
}

/// What a blocked client waits for.
#[derive(Debug, Clone)]
pub struct Block {
    /// Wake up when one of these keys (of the selected database) becomes ready.
    pub keys: Vec<Box<[u8]>>,
    /// What is run when one does, if that is not the command as it was given.
    pub command: Option<Vec<Box<[u8]>>>,
    /// Give up after so many ms; `None` waits for ever.
    pub timeout_ms: Option<u64>,
    /// What a time-out answers.
    pub on_timeout: TimeoutReply,
}

/// The reply to a blocking command that timed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeoutReply {
    /// A null bulk string.
    Null,
    /// A null array.
    NullArray,
}

/// Flags of a command, as COMMAND INFO names them; a set of the constants in [`flags`].
pub type Flags = u32;

/// The constants of [`Flags`].
#[allow(missing_docs)]
pub mod flags {
    pub const WRITE: u32 = 1;
    pub const READONLY: u32 = 1 << 1;
    pub const DENYOOM: u32 = 1 << 2;
    pub const ADMIN: u32 = 1 << 3;
    pub const PUBSUB: u32 = 1 << 4;
    pub const NOSCRIPT: u32 = 1 << 5;
    pub const BLOCKING: u32 = 1 << 6;
    pub const LOADING: u32 = 1 << 7;
    pub const STALE: u32 = 1 << 8;
    pub const SKIP_MONITOR: u32 = 1 << 9;
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    pub const ASKING: u32 = 1 << 11;
    pub const FAST: u32 = 1 << 12;
    pub const NO_AUTH: u32 = 1 << 13;
    /// It may add to the log although it is no writer; a pause of writes holds it back. Not listed.
    pub const MAY_REPLICATE: u32 = 1 << 14;
    pub const NO_ASYNC_LOADING: u32 = 1 << 15;
    pub const NO_MULTI: u32 = 1 << 16;
    pub const ALLOW_BUSY: u32 = 1 << 17;
    /// The keys cannot be told from the legacy (first, last, step) triple alone.
    pub const MOVABLEKEYS: u32 = 1 << 18;
    /// A reader that may leave something behind in the data, and then logs it: it may stand in a log. Not listed.
    pub const LOGGED: u32 = 1 << 19;

    /// Each flag with its name, in the order COMMAND INFO lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (MOVABLEKEYS, "movablekeys"),
        (ALLOW_BUSY, "allow_busy"),
    ];
}

/// ACL categories beyond those that flags imply; a set of the constants in [`acl`].
pub type Acl = u32;

/// The constants of [`Acl`].
#[allow(missing_docs)]
pub mod acl {
    pub const KEYSPACE: u32 = 1;
    pub const READ: u32 = 1 << 1;
    pub const WRITE: u32 = 1 << 2;
    pub const SET: u32 = 1 << 3;
    pub const SORTEDSET: u32 = 1 << 4;
    pub const LIST: u32 = 1 << 5;
    pub const HASH: u32 = 1 << 6;
    pub const STRING: u32 = 1 << 7;
    pub const BITMAP: u32 = 1 << 8;
    pub const HYPERLOGLOG: u32 = 1 << 9;
    pub const GEO: u32 = 1 << 10;
    pub const STREAM: u32 = 1 << 11;
    pub const PUBSUB: u32 = 1 << 12;
    pub const ADMIN: u32 = 1 << 13;
    pub const FAST: u32 = 1 << 14;
    pub const SLOW: u32 = 1 << 15;
    pub const BLOCKING: u32 = 1 << 16;
    pub const DANGEROUS: u32 = 1 << 17;
    pub const CONNECTION: u32 = 1 << 18;
    pub const TRANSACTION: u32 = 1 << 19;
    pub const SCRIPTING: u32 = 1 << 20;

    /// Each category with its name, in the order COMMAND INFO lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (KEYSPACE, "keyspace"),
        (READ, "read"),
        (WRITE, "write"),
        (SET, "set"),
        (SORTEDSET, "sortedset"),
        (LIST, "list"),
        (HASH, "hash"),
        (STRING, "string"),
        (BITMAP, "bitmap"),
        (HYPERLOGLOG, "hyperloglog"),
        (GEO, "geo"),
        (STREAM, "stream"),
        (PUBSUB, "pubsub"),
        (ADMIN, "admin"),
        (FAST, "fast"),
        (SLOW, "slow"),
        (BLOCKING, "blocking"),
        (DANGEROUS, "dangerous"),
        (CONNECTION, "connection"),
        (TRANSACTION, "transaction"),
        (SCRIPTING, "scripting"),
    ];
}

/// The constants of [`KeySpec::flags`].
#[allow(missing_docs)]
pub mod key {
    pub const RO: u32 = 1;
    pub const RW: u32 = 1 << 1;
    pub const OW: u32 = 1 << 2;
    pub const RM: u32 = 1 << 3;
    pub const ACCESS: u32 = 1 << 4;
    pub const UPDATE: u32 = 1 << 5;
    pub const INSERT: u32 = 1 << 6;
    pub const DELETE: u32 = 1 << 7;
    pub const NOT_KEY: u32 = 1 << 8;
    pub const INCOMPLETE: u32 = 1 << 9;
    pub const VARIABLE_FLAGS: u32 = 1 << 10;

    /// Each flag with its name, in the order COMMAND INFO lists them.
    pub const NAMES: &[(u32, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (NOT_KEY, "not_key"),
        (INCOMPLETE, "incomplete"),
        (VARIABLE_FLAGS, "variable_flags"),
    ];
}

/// Where a command's keys begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// At this argument (the name is 0).
    Index(i32),
    /// After this keyword, searched from the argument `1` (or backwards from a negative one).
    Keyword(&'static str, i32),
    /// Cannot be told.
    Unknown,
}

/// How the keys are found from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find {
    /// `last` relative to the beginning (negative: from the end of the arguments), every `step`-th, and
    /// `limit`: with `last` -1 and limit n > 1, only the first 1/n of what remains.
    Range(i32, i32, i32),
    /// A count at `number` (relative), keys from `first`, every `step`-th.
    KeyNum(i32, i32, i32),
    /// Cannot be told.
    Unknown,
    /// The key behind the option STORE of SORT, the last of them; COMMAND INFO says that it cannot be told.
    SortStore,
}

/// One way in which a command names keys.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// What is done to the keys; a set of the constants in [`key`].
    pub flags: u32,
    /// Where they begin.
    pub begin: Begin,
    /// How they are found.
    pub find: Find,
}

impl KeySpec {
    /// Keys from argument `first` to `last` (relative; negative from the end), every `step`-th.
    pub const fn range(flags: u32, first: i32, last: i32, step: i32) -> KeySpec {
        KeySpec { flags, begin: Begin::Index(first), find: Find::Range(last, step, 0) }
    }
    /// One key, at argument `at`.
    pub const fn one(flags: u32, at: i32) -> KeySpec {
        KeySpec::range(flags, at, 0, 1)
    }
    /// Keys that no rule about their places finds.
    pub const fn unknown(flags: u32, find: Find) -> KeySpec {
        KeySpec { flags, begin: Begin::Unknown, find }
    }
    /// A count at argument `at` and the keys right after it.
    pub const fn counted(flags: u32, at: i32) -> KeySpec {
        KeySpec { flags, begin: Begin::Index(at), find: Find::KeyNum(0, 1, 1) }
    }
}

/// Which shards a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// Those of the keys that its specs name (none, if none).
    Keys,
    /// All of them.
    All,
    /// None: it takes shards one at a time through the context, or touches no key.
    None,
    /// Those of the keys that follow the option STREAMS, see [`streams_option`]. The key spec only looks for the word,
    /// which may also be the name of a group or a consumer.
    Streams,
    /// As [`Locks::Keys`], or all of them where BY or GET name keys by the elements of the one that is sorted.
    Sort,
}

/// Where the keys of XREAD and XREADGROUP are among their arguments: the first half of what follows STREAMS, which is
/// looked for from option to option. Empty where the command will be refused.
pub fn streams_option(args: &[&[u8]]) -> std::ops::Range<usize> {
    let mut at = 1;
    while let Some(arg) = args.get(at) {
        let is = |word: &str| arg.eq_ignore_ascii_case(word.as_bytes());
        at += match () {
            () if is("streams") => return at + 1..at + 1 + (args.len() - at - 1) / 2,
            () if is("group") => 3,
            () if is("block") || is("count") => 2,
            () if is("noack") => 1,
            () => return 0..0,
        };
    }
    0..0
}

/// Where the key that SORT stores to is among its arguments: behind the last STORE that is not the value of another
/// option.
pub fn sort_store(args: &[&[u8]]) -> Option<usize> {
    let (mut at, mut found) = (2, None);
    while let Some(arg) = args.get(at) {
        let is = |word: &str| arg.eq_ignore_ascii_case(word.as_bytes());
        at += match () {
            () if is("limit") => 3,
            () if is("by") || is("get") => 2,
            () if is("store") => {
                found = Some(at + 1).filter(|at| *at < args.len()).or(found);
                2
            }
            () => 1,
        };
    }
    found
}

/// Who runs a command.
#[derive(Clone, Copy)]
pub enum Run {
    /// A handler over the keyspace.
    Keyspace(Handler),
    /// The server: it knows the command by its full name and needs more than the keyspace.
    Server,
    /// Only its subcommands run.
    Container,
}

/// One command of the table.
#[derive(Clone, Copy)]
pub struct Command {
    /// Lower-case name; of a subcommand, its own part only.
    pub name: &'static str,
    /// Number of arguments with the name; negative: at least so many.
    pub arity: i32,
    /// See [`flags`].
    pub flags: Flags,
    /// See [`acl`]; explicit categories.
    pub acl: Acl,
    /// How it names keys.
    pub keys: &'static [KeySpec],
    /// What it locks.
    pub locks: Locks,
    /// Who runs it.
    pub run: Run,
    /// Group, as COMMAND DOCS names it (`string`, `generic`, `sorted-set`, …).
    pub group: &'static str,
    /// The version of Redis that brought it.
    pub since: &'static str,
    /// Cost, in O() terms.
    pub complexity: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Its arguments in the usual notation (`key value [NX | XX]`).
    pub usage: &'static str,
    /// Tips as COMMAND INFO lists them (`nondeterministic_output`, …).
    pub tips: &'static [&'static str],
    /// Subcommands of a container.
    pub sub: &'static [Command],
}

impl Command {
    /// A command run by a keyspace handler.
    pub const fn new(name: &'static str, arity: i32, flags: Flags, run: Handler) -> Command {
        Command::with(name, arity, flags, Run::Keyspace(run), Locks::Keys)
    }
    /// A command that the server runs.
    pub const fn server(name: &'static str, arity: i32, flags: Flags) -> Command {
        Command::with(name, arity, flags, Run::Server, Locks::None)
    }
    /// A command that is only a name for its subcommands.
    pub const fn container(name: &'static str, flags: Flags, sub: &'static [Command]) -> Command {
        let mut command = Command::with(name, -2, flags, Run::Container, Locks::None);
        command.sub = sub;
        command
    }
    const fn with(name: &'static str, arity: i32, flags: Flags, run: Run, locks: Locks) -> Command {
        Command {
            name,
            arity,
            flags,
            acl: 0,
            keys: &[],
            locks,
            run,
            group: "generic",
            since: "1.0.0",
            complexity: "O(1)",
            summary: "",
            usage: "",
            tips: &[],
            sub: &[],
        }
    }
    /// Gives a command that also runs by itself subcommands.
    pub const fn subs(mut self, sub: &'static [Command]) -> Command {
        self.sub = sub;
        self
    }
    /// Sets the key specs.
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Command {
        self.keys = keys;
        self
    }
    /// Sets the explicit ACL categories.
    pub const fn acl(mut self, acl: Acl) -> Command {
        self.acl = acl;
        self
    }
    /// Sets what is locked, where the key specs do not say it.
    pub const fn locks(mut self, locks: Locks) -> Command {
        self.locks = locks;
        self
    }
    /// Sets group, since, complexity, summary and usage.
    pub const fn doc(
        mut self,
        group: &'static str,
        since: &'static str,
        complexity: &'static str,
        summary: &'static str,
        usage: &'static str,
    ) -> Command {
        self.group = group;
        self.since = since;
        self.complexity = complexity;
        self.summary = summary;
        self.usage = usage;
        self
    }
    /// Sets the tips.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Command {
        self.tips = tips;
        self
    }

    /// The position of the key, for the many commands that name exactly one.
    #[inline]
    pub fn single_key(&self) -> Option<usize> {
        match self.keys {
            [KeySpec { begin: Begin::Index(at), find: Find::Range(0, _, _), .. }] => Some(*at as usize),
            _ => None,
        }
    }

    /// True when it has all of these flags.
    #[inline]
    pub const fn has(&self, flags: Flags) -> bool {
        self.flags & flags == flags
    }

    /// True when `count` arguments (the name included) satisfy the arity.
    #[inline]
    pub fn arity_fits(&self, count: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity >= 0 { count == arity } else { count >= arity }
    }

    /// All categories: the explicit ones and those that the flags imply.
    pub fn acl_all(&self) -> Acl {
        let mut all = self.acl;
        if self.has(flags::WRITE) {
            all |= acl::WRITE;
        }
        if self.has(flags::READONLY) && self.acl & acl::SCRIPTING == 0 {
            all |= acl::READ;
        }
        if self.has(flags::ADMIN) {
            all |= acl::ADMIN | acl::DANGEROUS;
        }
        if self.has(flags::PUBSUB) {
            all |= acl::PUBSUB;
        }
        if self.has(flags::BLOCKING) {
            all |= acl::BLOCKING;
        }
        all | if self.has(flags::FAST) { acl::FAST } else { acl::SLOW }
    }

    /// Calls `found` with the position and spec flags of every key among `args`. Returns false when the
    /// arguments do not fit a spec (a count that is no number, too few keys): the handler will refuse them.
    pub fn for_each_key(&self, args: &[&[u8]], mut found: impl FnMut(usize, u32)) -> bool {
        let mut fits = true;
        for spec in self.keys.iter().filter(|spec| spec.flags & key::NOT_KEY == 0) {
            fits &= spec.for_each_key(args, &mut found);
        }
        fits
    }
}

impl KeySpec {
    fn begin_at(&self, args: &[&[u8]]) -> Option<usize> {
        match self.begin {
            Begin::Index(at) => Some(at as usize),
            Begin::Keyword(word, from) => {
                let is_word = |arg: &&[u8]| arg.eq_ignore_ascii_case(word.as_bytes());
                let at = if from >= 0 {
                    let from = from as usize;
                    args.iter().skip(from).position(is_word).map(|at| at + from)?
                } else {
                    args.iter().rposition(is_word)?
                };
                (at + 1 < args.len()).then_some(at + 1)
            }
            Begin::Unknown => None,
        }
    }

    fn for_each_key(&self, args: &[&[u8]], found: &mut impl FnMut(usize, u32)) -> bool {
        if self.find == Find::SortStore {
            sort_store(args).into_iter().for_each(|at| found(at, self.flags));
            return true;
        }
        let Some(first) = self.begin_at(args) else { return true };
        match self.find {
            Find::Range(last, step, limit) => {
                let last = if last >= 0 {
                    first + last as usize
                } else {
                    let end = args.len() as i64 + i64::from(last);
                    if limit > 1 {
                        first as i64 + (end - first as i64 + 1) / i64::from(limit) - 1
                    } else {
                        end
                    }
                    .max(-1) as usize
                };
                if first >= args.len() {
                    return false;
                }
                let mut at = first;
                while at <= last && at < args.len() {
                    found(at, self.flags);
                    at += step.max(1) as usize;
                }
                last < args.len()
            }
            Find::KeyNum(number, skip, step) => {
                let count = args.get(first + number as usize).and_then(|arg| std::str::from_utf8(arg).ok());
                let Some(count) = count.and_then(|text| text.parse::<usize>().ok()) else { return false };
                let start = first + skip as usize;
                let room = args.len().saturating_sub(start);
                for i in 0..count.min(room) {
                    let at = start + i * step as usize;
                    if at < args.len() {
                        found(at, self.flags);
                    }
                }
                count > 0 && count <= room
            }
            Find::Unknown | Find::SortStore => true,
        }
    }
}

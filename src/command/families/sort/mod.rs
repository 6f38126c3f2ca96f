//! SORT and SORT_RO.
//!
//! What is to be sorted is copied out, together with the weights and what GET asks for, while the shards are held; a long
//! result that goes to the client is put into order after that, in slices, and holds nobody up.

mod gather;
mod merge;
mod options;
mod pattern;

use crate::command::table::{Command, Find, KeySpec, Locks, acl, flags::*, key};
use crate::command::{CommandError, CommandResult, Context, DONE, EventClass, Outcome};
use crate::value::{Direction, List, Value};
use gather::Gathered;
use merge::Merging;
use options::Options;

/// A longer result is sorted as a walk, in slices.
const SORTED_AT_ONCE: usize = 4_096;
/// Elements that one logged RPUSH names at most.
const LOGGED_ELEMENTS: usize = 1_024;

const SORTED: KeySpec = KeySpec::one(key::RO | key::ACCESS, 1);
/// What BY and GET read depends on what is sorted.
const LOOKED_UP: KeySpec = KeySpec::unknown(key::RO | key::ACCESS, Find::Unknown);
const STORED: KeySpec = KeySpec::unknown(key::OW | key::UPDATE, Find::SortStore);
const COMPLEXITY: &str = "O(N+M*log(M)) with N elements, M of which are returned";

/// This family's part of the table.
pub const COMMANDS: &[Command] = &[
    Command::new("sort", -2, WRITE | DENYOOM | MOVABLEKEYS, |ctx, args| sort(ctx, args, true))
        .keys(&[SORTED, LOOKED_UP, STORED])
        .acl(acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS)
        .locks(Locks::Sort)
        .doc(
            "generic",
            "1.0.0",
            COMPLEXITY,
            "Returns or stores the elements of a list, set or sorted set in order.",
            "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] \
             [STORE destination]",
        ),
    Command::new("sort_ro", -2, READONLY | MOVABLEKEYS, |ctx, args| sort(ctx, args, false))
        .keys(&[SORTED, LOOKED_UP])
        .acl(acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS)
        .locks(Locks::Sort)
        .doc(
            "generic",
            "7.0.0",
            COMPLEXITY,
            "Returns the elements of a list, set or sorted set in order.",
            "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
        ),
];

/// Whether these arguments of SORT or SORT_RO make it read keys that they do not name.
pub fn reads_unnamed_keys(args: &[&[u8]]) -> bool {
    Options::parse(args.get(2..).unwrap_or_default(), true).is_ok_and(|options| options.reads_unnamed_keys())
}

/// The option of SORT or SORT_RO that needs the permission to read every key there is; `None` also of other commands.
pub fn lookup_option(command: &Command, args: &[&[u8]]) -> Option<&'static str> {
    let is_sort = command.locks == Locks::Sort;
    is_sort
        .then(|| Options::first_lookup(args.get(2..).unwrap_or_default(), command.name == "sort"))
        .flatten()
}

fn sort(ctx: &mut Context<'_, '_>, args: &[&[u8]], may_store: bool) -> CommandResult {
    let options = Options::parse(&args[2..], may_store)?;
    let mut gathered = Gathered::load(ctx, args[1], &options)?;
    gathered.weigh(ctx, &options)?;
    gathered.select();
    gathered.fetch(ctx, &options);
    match options.store {
        Some(destination) => store(ctx, destination, gathered),
        None if gathered.items.len() > SORTED_AT_ONCE => Ok(Outcome::Walk(Box::new(Merging::new(gathered)))),
        None => {
            gathered.sort();
            ctx.reply.array(gathered.output_len());
            gathered.items.iter().for_each(|item| gathered.reply_item(&mut ctx.reply, item));
            DONE
        }
    }
}

/// Puts the sorted elements, or what was fetched for them, into a list in place of whatever the key held; an empty result
/// removes the key. The log is told what was stored.
fn store(ctx: &mut Context<'_, '_>, destination: &[u8], mut gathered: Gathered) -> CommandResult {
    gathered.sort();
    let len = gathered.output_len();
    if len == 0 {
        if ctx.remove_stored(destination) {
            ctx.log(&[b"DEL", destination]);
        }
        ctx.reply.int(0);
        return DONE;
    }
    let outputs: Vec<&[u8]> = gathered.outputs().map(Option::unwrap_or_default).collect();
    let mut list = List::new();
    list.push_all(Direction::Backward, outputs.iter().copied(), &ctx.settings.limits);
    ctx.set_value(destination, Value::List(list), None);
    ctx.tell(EventClass::List, "sortstore", destination);
    ctx.dirty += len as u64 - 1;
    ctx.log(&[b"DEL", destination]);
    for part in outputs.chunks(LOGGED_ELEMENTS) {
        let head: [&[u8]; 2] = [b"RPUSH", destination];
        ctx.log(&[&head, part].concat());
    }
    ctx.reply.int(len as i64);
    DONE
}

const NOT_A_NUMBER: CommandError =
    CommandError::text("ERR One or more scores can't be converted into double");

#[cfg(test)]
mod tests;

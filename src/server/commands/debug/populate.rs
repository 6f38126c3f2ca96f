//! DEBUG POPULATE: many strings at once. Each is set as SET … NX would, and so logged.

use crate::base::num::parse_u64;
use crate::command::CommandError;
use crate::command::locking::lock_for;
use crate::command::registry;
use crate::server::commands::Call;
use crate::server::dispatch::{Next, Ran, run_handler};
use crate::server::events;

pub(super) fn run(call: &mut Call<'_, '_>) -> Next {
    let numbers = (parse_u64(call.args[2]), call.args.get(4).map_or(Some(0), |size| parse_u64(size)));
    let (Some(count), Some(size)) = numbers else {
        return call.error("ERR value is out of range, must be positive");
    };
    if size > call.session.settings.max_bulk_bytes as u64 {
        return call.error(CommandError::NotInteger.to_string());
    }
    if call.node.is_replica() {
        return call.error("READONLY You can't write against a read only replica.");
    }
    let prefix = call.args.get(3).copied().unwrap_or(b"key");
    let Some(set) = registry::find(b"set") else { return Next::Continue };
    let (mut ready, mut unread) = (Vec::new(), Vec::new());
    for number in 0..count {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        let key = [prefix, b":", digits].concat();
        let mut value = [b"value:".as_slice(), digits].concat();
        if size > 0 {
            value.resize(size as usize, 0);
        }
        let args: [&[u8]; 4] = [b"SET", &key, &value, b"NX"];
        let (node, session) = (&**call.node, &mut *call.session);
        unread.clear();
        match &mut call.held {
            Some(locked) => {
                let mut ran = Ran { node, session, locked, ready: &mut ready, may_block: false };
                run_handler(&mut ran, set, &args, &mut unread);
            }
            None => {
                let (mut locked, _) = lock_for(&node.keyspace, set, &args);
                let mut ran = Ran { node, session, locked: &mut locked, ready: &mut ready, may_block: false };
                run_handler(&mut ran, set, &args, &mut unread);
                drop(locked);
                events::deliver(node, call.session);
            }
        }
    }
    call.ok()
}

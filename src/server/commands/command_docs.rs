//! COMMAND DOCS.

use super::Call;
use crate::command::registry;
use crate::command::table::Command;
use crate::resp::reply::Reply;
use crate::server::dispatch::Next;

/// COMMAND DOCS [name …]; unknown names are passed over.
pub(super) fn docs(call: &mut Call<'_, '_>) -> Next {
    let names = &call.args[2..];
    let commands: Vec<&'static Command> = match names {
        [] => registry::all().collect(),
        names => names.iter().filter_map(|name| registry::find_full(name)).collect(),
    };
    let mut reply = call.reply();
    reply.map(commands.len());
    commands.iter().for_each(|command| document(&mut reply, command));
    Next::Continue
}

/// A command's full name, and the map of what there is to say about it. Arguments are given in the usual notation, as
/// `usage`; the structured form that Redis has as `arguments` is left out.
fn document(reply: &mut Reply<'_>, command: &'static Command) {
    let texts = [
        ("summary", command.summary),
        ("since", command.since),
        ("group", command.group),
        ("complexity", command.complexity),
        ("usage", command.usage),
    ];
    let present = || texts.iter().filter(|(_, text)| !text.is_empty());
    reply.bulk(registry::full_name(command));
    reply.map(present().count() + usize::from(!command.sub.is_empty()));
    for (name, text) in present() {
        reply.bulk(name);
        reply.bulk(text);
    }
    if !command.sub.is_empty() {
        reply.bulk("subcommands");
        reply.map(command.sub.len());
        command.sub.iter().for_each(|sub| document(reply, sub));
    }
}

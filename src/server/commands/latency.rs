//! LATENCY: events that took long, and how long commands take.

use super::{Call, Handler};
use crate::command::error::quoting;
use crate::command::registry;
use crate::command::table::Command;
use crate::server::command_stats::CommandFigures;
use crate::server::dispatch::Next;
use crate::server::latency::{self, Series};

pub(super) fn handler(name: &str, sub: &str) -> Option<Handler> {
    if name != "latency" {
        return None;
    }
    Some(match sub {
        "doctor" => doctor,
        "graph" => graph,
        "histogram" => histogram,
        "history" => history,
        "latest" => latest,
        "reset" => reset,
        _ => return None,
    })
}

fn doctor(call: &mut Call<'_, '_>) -> Next {
    let report = latency::report(call.node);
    call.text(report)
}

fn graph(call: &mut Call<'_, '_>) -> Next {
    match call.node.latency.find(call.args[2]) {
        Some((event, series)) => {
            let picture = latency::graph(call.node, event, &series);
            call.text(picture)
        }
        None => {
            let text = quoting("ERR No samples available for event '", call.args[2], "'");
            call.error(text)
        }
    }
}

fn history(call: &mut Call<'_, '_>) -> Next {
    let found = call.node.latency.find(call.args[2]);
    let samples: Vec<_> = found.iter().flat_map(|(_, series): &(_, Series)| series.samples()).collect();
    let mut reply = call.reply();
    reply.array(samples.len());
    for sample in samples {
        reply.array(2);
        reply.int(sample.at_s);
        reply.int(sample.ms.into());
    }
    Next::Continue
}

fn latest(call: &mut Call<'_, '_>) -> Next {
    let events = call.node.latency.all();
    let mut reply = call.reply();
    reply.array(events.len());
    for (event, series) in events {
        let latest = series.latest();
        reply.array(4);
        reply.bulk(event.name());
        reply.int(latest.at_s);
        reply.int(latest.ms.into());
        reply.int(series.all_time_max_ms().into());
    }
    Next::Continue
}

fn reset(call: &mut Call<'_, '_>) -> Next {
    let monitor = &call.node.latency;
    let count: usize = match &call.args[2..] {
        [] => monitor.reset(None),
        names => names.iter().map(|name| monitor.reset(Some(name))).sum(),
    };
    call.reply().int(count as i64);
    Next::Continue
}

fn histogram(call: &mut Call<'_, '_>) -> Next {
    let figures: Vec<CommandFigures> =
        call.node.command_stats.commands().filter(|it| it.durations.calls() > 0).collect();
    let shown: Vec<&CommandFigures> = match &call.args[2..] {
        [] => figures.iter().collect(),
        names => names
            .iter()
            .filter_map(|name| registry::find_full(name))
            .flat_map(|command| std::iter::once(command).chain(command.sub))
            .filter_map(|command: &Command| figures.iter().find(|it| it.name == registry::full_name(command)))
            .collect(),
    };
    let mut reply = call.reply();
    reply.map(shown.len());
    for it in shown {
        reply.bulk(it.name);
        reply.map(2);
        reply.bulk("calls");
        reply.int(it.durations.calls() as i64);
        reply.bulk("histogram_usec");
        let pairs = it.durations.cumulative_us();
        reply.map(pairs.len());
        for (us, calls) in pairs {
            reply.int(us as i64);
            reply.int(calls as i64);
        }
    }
    Next::Continue
}

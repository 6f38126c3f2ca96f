//! The order of a long result, found and written in slices.

use super::gather::Gathered;
use crate::command::Context;
use crate::command::table::Walk;
use std::cmp::Ordering;

/// Items that one step sorts.
const RUN_ITEMS: usize = 4_096;
/// Items that one step writes.
const WRITTEN_ITEMS: usize = 4_096;

/// What is left of a run that is in order.
#[derive(Clone, Copy)]
struct Run {
    next: usize,
    end: usize,
}

/// First sorts runs of items, then writes the items by merging the runs.
pub(super) struct Merging {
    gathered: Gathered,
    /// How many items lie in runs that are in order.
    sorted: usize,
    /// A heap of the runs that are not written yet, the one with the first item in front.
    runs: Vec<Run>,
    began: bool,
}

impl Merging {
    pub fn new(gathered: Gathered) -> Merging {
        Merging { gathered, sorted: 0, runs: Vec::new(), began: false }
    }

    fn sort_run(&mut self) {
        let end = (self.sorted + RUN_ITEMS).min(self.gathered.items.len());
        self.gathered.sort_part(self.sorted..end);
        self.runs.push(Run { next: self.sorted, end });
        self.sorted = end;
        let last = self.runs.len() - 1;
        self.rise(last);
    }

    fn is_before(&self, a: usize, b: usize) -> bool {
        let items = &self.gathered.items;
        let (a, b) = (self.runs[a].next, self.runs[b].next);
        self.gathered.order(&items[a], &items[b]) == Ordering::Less
    }

    fn rise(&mut self, mut at: usize) {
        while at > 0 && self.is_before(at, (at - 1) / 2) {
            self.runs.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    fn sink(&mut self) {
        let mut at = 0;
        loop {
            let children = [2 * at + 1, 2 * at + 2].into_iter().filter(|child| *child < self.runs.len());
            let first = children.reduce(|a, b| if self.is_before(b, a) { b } else { a });
            let Some(child) = first.filter(|child| self.is_before(*child, at)) else { return };
            self.runs.swap(at, child);
            at = child;
        }
    }

    /// The index of the next item in order.
    fn pop(&mut self) -> Option<usize> {
        let run = self.runs.first_mut()?;
        let index = run.next;
        run.next += 1;
        if run.next == run.end {
            self.runs.swap_remove(0);
        }
        self.sink();
        Some(index)
    }
}

impl Walk for Merging {
    fn step(&mut self, ctx: &mut Context<'_, '_>) -> bool {
        if self.sorted < self.gathered.items.len() {
            self.sort_run();
            return false;
        }
        if !self.began {
            self.began = true;
            ctx.reply.reserve(self.gathered.output_bytes());
            ctx.reply.array(self.gathered.output_len());
            return false;
        }
        for _ in 0..WRITTEN_ITEMS {
            let Some(index) = self.pop() else { return true };
            self.gathered.reply_item(&mut ctx.reply, &self.gathered.items[index]);
        }
        false
    }

    fn finish(self: Box<Self>, _: &mut Context<'_, '_>) {}
}

//! Why a node is fenced: up, but refusing reads, writes and syncs. There are three reasons, and more than one can hold at once.

/// Another node serves this node's history with a higher epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superseded {
    /// That epoch.
    pub epoch: u64,
    /// The address of the node that was promoted, where it is known: host and port.
    pub by: Option<(String, u16)>,
}

/// The fences of a node.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Fences {
    /// It has no history, and why it has none yet.
    pub no_history: Option<String>,
    /// It is the primary of an epoch that has ended.
    pub superseded: Option<Superseded>,
    /// An operator's order (OUTRIGGER FENCE), with the reason that was given.
    pub by_hand: Option<String>,
}

impl Fences {
    /// Does any hold?
    pub fn is_fenced(&self) -> bool {
        self.no_history.is_some() || self.superseded.is_some() || self.by_hand.is_some()
    }

    /// The reason to name: that which an operator has to see to first. Empty when there is none.
    pub fn reason(&self) -> String {
        if let Some(reason) = &self.no_history {
            return reason.clone();
        }
        if let Some(superseded) = &self.superseded {
            let by = match &superseded.by {
                Some((host, port)) => format!("{host}:{port}"),
                None => "another node".into(),
            };
            return format!(
                "{by} was promoted to epoch {} of this history, which this node no longer serves",
                superseded.epoch
            );
        }
        self.by_hand.as_ref().map_or_else(String::new, |reason| format!("by hand: {reason}"))
    }

    /// What an operator runs to lift that fence. Empty when there is none.
    pub fn advice(&self) -> String {
        if self.no_history.is_some() {
            return "wait, or run OUTRIGGER RECOVER FROM <host:port>, OUTRIGGER RECOVER NEW or REPLICAOF"
                .into();
        }
        if let Some(superseded) = &self.superseded {
            let (host, port) = match &superseded.by {
                Some((host, port)) => (host.clone(), port.to_string()),
                None => ("<host>".into(), "<port>".into()),
            };
            return format!(
                "run REPLICAOF {host} {port} to follow it, or OUTRIGGER UNFENCE FORCE to go on here"
            );
        }
        if self.by_hand.is_some() { "run OUTRIGGER UNFENCE".into() } else { String::new() }
    }

    /// The text of a refusal, without its code.
    pub fn refusal(&self) -> String {
        format!("{}; {}", self.reason(), self.advice())
    }

    /// Takes note of a node with a higher epoch; the highest counts, and an address is better than none. True if this is news.
    pub fn supersede(&mut self, epoch: u64, by: Option<(String, u16)>) -> bool {
        match &mut self.superseded {
            Some(known)
                if known.epoch > epoch || known.epoch == epoch && (known.by == by || by.is_none()) =>
            {
                false
            }
            other => {
                *other = Some(Superseded { epoch, by });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_that_comes_first_is_named_and_each_goes_by_itself() {
        let mut fences = Fences::default();
        assert!(!fences.is_fenced() && fences.reason().is_empty() && fences.advice().is_empty());
        fences.by_hand = Some("moving house".into());
        assert_eq!(fences.refusal(), "by hand: moving house; run OUTRIGGER UNFENCE");
        assert!(fences.supersede(3, Some(("10.0.0.7".into(), 6379))));
        assert!(fences.reason().starts_with("10.0.0.7:6379 was promoted to epoch 3"), "{}", fences.reason());
        assert!(fences.advice().starts_with("run REPLICAOF 10.0.0.7 6379 "), "{}", fences.advice());
        fences.no_history = Some("waiting for the history of a:1".into());
        assert_eq!(fences.reason(), "waiting for the history of a:1");
        (fences.no_history, fences.superseded) = (None, None);
        assert_eq!(fences.reason(), "by hand: moving house");
        fences.by_hand = None;
        assert!(!fences.is_fenced());
    }

    #[test]
    fn the_highest_epoch_counts_and_an_address_is_better_than_none() {
        let mut fences = Fences::default();
        let at = |port| Some(("h".to_owned(), port));
        assert!(fences.supersede(3, None) && !fences.supersede(3, None) && !fences.supersede(2, at(1)));
        assert!(fences.supersede(3, at(1)) && !fences.supersede(3, at(1)) && !fences.supersede(3, None));
        assert!(fences.supersede(4, None));
        assert_eq!(fences.superseded, Some(Superseded { epoch: 4, by: None }));
    }
}

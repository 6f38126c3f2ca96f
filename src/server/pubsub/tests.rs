use super::*;
use crate::command::{Event, WantedEvents};
use crate::server::config::Config;
use crate::server::endpoint::Endpoint;
use crate::server::{Node, Session};

fn session(node: &Node) -> Session {
    let addr = Endpoint::Unix("/socket".into());
    let id = node.clients.next_id();
    let info = ClientInfo::new(id, addr.clone(), addr, 0, 0, Box::new(|| ()));
    Session::new(Arc::new(info), node.settings(), true)
}

fn publish(node: &Node, kind: Kind, channel: &str, payload: &str) -> usize {
    let message = Message::new(kind, channel.as_bytes(), payload.as_bytes());
    node.pubsub.deliver(node, node.pubsub.line_up(&message))
}

/// What the client was told, without lengths and line ends.
fn told(session: &Session) -> String {
    let mut out = Vec::new();
    session.info.mailbox.take_into(&mut out, usize::MAX);
    let text = String::from_utf8(out).unwrap();
    text.split("\r\n").filter(|line| !line.starts_with('$') && !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[test]
fn who_has_subscribed_is_told() {
    let node = Node::new(Config::default());
    let (mut one, mut two) = (session(&node), session(&node));
    two.info.resp.store(3, Ordering::Relaxed);
    two.resp3 = true;
    assert_eq!(publish(&node, Kind::Channel, "news", "none hears"), 0);
    assert_eq!(one.subscribe(&node.pubsub, Kind::Channel, b"news"), 1);
    assert_eq!(one.subscribe(&node.pubsub, Kind::Channel, b"news"), 1, "twice is once");
    assert_eq!(one.subscribe(&node.pubsub, Kind::Pattern, b"n*"), 2);
    assert_eq!(two.subscribe(&node.pubsub, Kind::Channel, b"news"), 1);
    assert_eq!(two.subscribe(&node.pubsub, Kind::Shard, b"news"), 1);
    assert_eq!(publish(&node, Kind::Channel, "news", "a"), 3);
    assert_eq!(publish(&node, Kind::Channel, "new", "b"), 1);
    assert_eq!(publish(&node, Kind::Shard, "news", "c"), 1);
    assert_eq!(told(&one), "*3 message news a *4 pmessage n* news a *4 pmessage n* new b");
    assert_eq!(told(&two), ">3 message news a >3 smessage news c");
    assert_eq!(node.pubsub.channels(Kind::Channel, None), ["news"]);
    assert_eq!(node.pubsub.channels(Kind::Channel, Some(b"x*")), [""; 0]);
    assert_eq!(node.pubsub.subscribers(Kind::Channel, b"news"), 2);
    assert_eq!((one.is_only_subscriber(), two.is_only_subscriber()), (true, false));
    assert_eq!(one.unsubscribe(&node.pubsub, Kind::Channel, b"other"), 2);
    assert_eq!(one.unsubscribe(&node.pubsub, Kind::Channel, b"news"), 1);
    assert_eq!(publish(&node, Kind::Channel, "news", "d"), 2);
    assert_eq!((told(&one), told(&two)), ("*4 pmessage n* news d".into(), ">3 message news d".into()));
    one.unsubscribe_all(&node.pubsub);
    two.unsubscribe_all(&node.pubsub);
    assert_eq!((one.bits, two.bits, node.pubsub.is_used()), (0, 0, false));
    assert_eq!(publish(&node, Kind::Channel, "news", "e"), 0);
    assert!(node.pubsub.channels(Kind::Channel, None).is_empty());
}

#[test]
fn a_message_in_line_is_delivered_before_those_behind_it() {
    let node = Node::new(Config::default());
    let mut one = session(&node);
    one.subscribe(&node.pubsub, Kind::Channel, b"c");
    let first = node.pubsub.line_up(&Message::new(Kind::Channel, b"c", b"1"));
    assert_eq!(publish(&node, Kind::Channel, "c", "2"), 1);
    assert_eq!(told(&one), "*3 message c 1 *3 message c 2");
    assert_eq!(node.pubsub.deliver(&node, first), 1, "it was delivered to one, by another");
    assert_eq!(told(&one), "");
    // Whoever has been unsubscribed meanwhile hears nothing more, and nothing is left for the next one.
    let late = node.pubsub.line_up(&Message::new(Kind::Channel, b"c", b"3"));
    one.unsubscribe_all(&node.pubsub);
    assert_eq!(node.pubsub.deliver(&node, late), 0);
    one.subscribe(&node.pubsub, Kind::Channel, b"c");
    assert_eq!(publish(&node, Kind::Channel, "c", "4"), 1);
    assert_eq!(told(&one), "*3 message c 4");
}

#[test]
fn all_subscribers_of_a_channel_are_told_in_one_order() {
    const PUBLISHERS: usize = 4;
    const EACH: usize = 500;
    let node = Node::new(Config::default());
    let mut listeners: Vec<Session> = (0..3).map(|_| session(&node)).collect();
    for listener in &mut listeners {
        listener.subscribe(&node.pubsub, Kind::Channel, b"c");
    }
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let node = &node;
            scope.spawn(move || {
                for n in 0..EACH {
                    assert_eq!(publish(node, Kind::Channel, "c", &format!("{publisher}:{n}")), 3);
                }
            });
        }
    });
    let heard: Vec<String> = listeners.iter().map(told).collect();
    assert_eq!(heard[0].matches("message").count(), PUBLISHERS * EACH);
    assert!(heard[0] == heard[1] && heard[0] == heard[2]);
    for publisher in 0..PUBLISHERS {
        let start = format!("{publisher}:");
        let own: Vec<usize> =
            heard[0].split(' ').filter_map(|word| word.strip_prefix(&start)?.parse().ok()).collect();
        assert_eq!(own, (0..EACH).collect::<Vec<_>>());
    }
}

fn line_up_events(node: &Node, letters: &[u8], events: &[(&'static str, &str)]) -> bool {
    let wanted = WantedEvents::parse(letters).unwrap();
    let event = |(name, key): &(&'static str, &str)| Event { db: 3, name, key: key.as_bytes().into() };
    node.pubsub.line_up_events(wanted, events.iter().map(event))
}

#[test]
fn events_are_told_in_one_order_whatever_their_channels() {
    let node = Node::new(Config::default());
    let mut one = session(&node);
    assert!(!line_up_events(&node, b"KEA", &[("set", "nobody hears")]), "none is kept for later");
    one.subscribe(&node.pubsub, Kind::Pattern, b"__key*");
    assert!(line_up_events(&node, b"KEA", &[("lpop", "k"), ("del", "k")]));
    assert!(line_up_events(&node, b"EA", &[("set", "k")]));
    assert_eq!(told(&one), "", "what stands in line is not told yet");
    node.pubsub.deliver_events(&node);
    let channels = |text: String| text.replace("*4 pmessage __key* ", "");
    assert_eq!(
        channels(told(&one)),
        "__keyspace@3__:k lpop __keyevent@3__:lpop k __keyspace@3__:k del __keyevent@3__:del k \
         __keyevent@3__:set k"
    );
    node.pubsub.deliver_events(&node);
    assert_eq!(told(&one), "");
    // Who has subscribed to one of the channels hears of that alone.
    one.unsubscribe_all(&node.pubsub);
    one.subscribe(&node.pubsub, Kind::Channel, b"__keyevent@3__:del");
    assert!(line_up_events(&node, b"KEA", &[("lpop", "k"), ("del", "k")]));
    node.pubsub.deliver_events(&node);
    assert_eq!(told(&one), "*3 message __keyevent@3__:del k");
}

#[test]
fn who_does_not_read_is_closed_and_costs_no_more() {
    let mut config = Config::default();
    config.client_output_buffer_limit.pubsub.hard_bytes = 10_000;
    let node = Node::new(config);
    let (mut slow, mut good) = (session(&node), session(&node));
    for session in [&mut slow, &mut good] {
        assert!(node.clients.add(session.info.clone(), 10));
        session.subscribe(&node.pubsub, Kind::Channel, b"c");
    }
    for n in 0..100 {
        assert_eq!(publish(&node, Kind::Channel, "c", &"x".repeat(500)), 2, "message {n}");
        assert!(told(&good).starts_with("*3 message c x"));
    }
    assert_eq!(slow.info.mailbox.waiting(), (0, 0));
    assert!(node.clients.get(slow.info.id).is_none() && node.clients.get(good.info.id).is_some());
    assert_eq!(node.stats.output_limit_disconnections.load(Ordering::Relaxed), 1);
}

#[test]
fn what_the_stream_tells_is_heard_when_its_transaction_has_ended() {
    let node = Node::new(Config::default());
    let mut one = session(&node);
    let mut heard = Heard::default();
    heard.note(&node, &[b"PUBLISH", b"c", b"nobody"]);
    one.subscribe(&node.pubsub, Kind::Channel, b"c");
    one.subscribe(&node.pubsub, Kind::Shard, b"s");
    for args in [["publish", "c", "1"], ["SET", "c", "2"], ["SPUBLISH", "s", "3"], ["PUBLISH", "d", "4"]] {
        heard.note(&node, &args.map(str::as_bytes));
    }
    heard.note(&node, &[b"PUBLISH", b"c"]);
    assert_eq!(told(&one), "");
    heard.deliver(&node);
    assert_eq!(told(&one), "*3 message c 1 *3 smessage s 3");
    heard.deliver(&node);
    assert_eq!(told(&one), "");
}

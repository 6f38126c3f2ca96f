//! One client connection.

use super::slow_reader::{LimitReached, SlowReader};
use super::stream::Stream;
use crate::resp::args::ArgSpans;
use crate::resp::request::{Parsed, RequestLimits, RequestParser};
use crate::server::client_eviction;
use crate::server::clients::{ClientInfo, ClientKind};
use crate::server::config::OutputBufferLimits;
use crate::server::dispatch::{self, LaterReply, Next};
use crate::server::endpoint::Endpoint;
use crate::server::gate::bits;
use crate::server::later::{self, Measured};
use crate::server::replication::acks::{self, HeldReplies, Need, Settled};
use crate::server::session::ReplyMode;
use crate::server::stats::add;
use crate::server::{Node, Session, transaction};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// Bytes read at a time.
const READ_BYTES: usize = 64 * 1024;
/// An input buffer above this is given back once it is empty.
const KEPT_INPUT_BYTES: usize = 64 * 1024;
/// So is an output buffer above this: a push to each of many clients is not to take so much of each for good.
const KEPT_OUTPUT_BYTES: usize = 16 * 1024;
/// Output is written in the middle of a batch beyond this.
const FLUSH_BYTES: usize = 256 * 1024;

/// What a client from elsewhere hears in protected mode. One line: clients read no more.
const PROTECTED: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no \
    password is set for the default user. In this mode connections are only accepted from the loopback interface. \
    To serve other hosts, set a password (CONFIG SET requirepass, or the directive of that name), or, where nobody \
    else can reach this port, switch the mode off (CONFIG SET protected-mode no). Either is to be done from this \
    server's own host.\r\n";

/// Serves a connection until it ends.
pub(super) async fn serve(node: Arc<Node>, stream: Stream, addr: Endpoint) {
    let config = node.config();
    if let Some(tcp) = stream.tcp() {
        let _ = tcp.set_nodelay(true);
        set_keepalive(tcp, config.tcp_keepalive_seconds);
    }
    if config.protected_mode && node.acl.default_needs_no_password() && !addr.is_local() {
        tracing::warn!(%addr, "refused by protected mode");
        return reject(&node, &stream, PROTECTED).await;
    }
    let local_addr = stream.local_end(&addr);
    let fd = stream.as_raw_fd();
    let kill = Box::new(move || {
        // The descriptor is open: a connection leaves the registry, whose lock our caller holds, before
        // its socket is closed.
        let _ = nix::sys::socket::shutdown(fd, nix::sys::socket::Shutdown::Both);
    });
    let id = node.clients.next_id();
    let info = Arc::new(ClientInfo::new(id, addr.clone(), local_addr, fd, node.now_ms(), kill));
    if !node.clients.add(info.clone(), config.maxclients as usize) {
        return reject(&node, &stream, b"-ERR max number of clients reached\r\n").await;
    }
    add(&node.stats.connections, 1);
    let mut connection = Connection::new(node.clone(), stream, info.clone());
    let end = connection.run().await;
    connection.leave_pushers();
    transaction::abandon(&node, &mut connection.session);
    node.clients.set_blocked(&info, false);
    node.clients.remove(info.id);
    drop(connection);
    node.client_memory.gone(&info);
    if let Err(error) = end {
        let too_slow = error.get_ref().is_some_and(|error| error.is::<LimitReached>());
        add(&node.stats.output_limit_disconnections, u64::from(too_slow));
        tracing::debug!(%addr, %error, "connection ended");
    }
}

/// Tells a peer why it is not served.
async fn reject(node: &Node, stream: &Stream, why: &[u8]) {
    add(&node.stats.rejected_connections, 1);
    // A fresh socket has room at once; it is asked for because the runtime does not know yet.
    let _ = stream.writable().await;
    let _ = stream.try_write(why);
}

fn set_keepalive(stream: &TcpStream, seconds: u32) {
    if seconds > 0 {
        let every = std::time::Duration::from_secs(u64::from(seconds));
        let keepalive = socket2::TcpKeepalive::new().with_time(every).with_interval(every / 3);
        let _ = socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive);
    }
}

/// Lets the thread's other connections that have input run their commands before this one's replies are written.
///
/// So the replies of all of them leave together, and a peer that serves many connections finds many at once: it wakes up
/// less often. The task goes to the end of the runtime's queue, which costs no system call (`yield_now` would look for new
/// events first).
async fn after_others() {
    let mut waited = false;
    poll_fn(|task| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What a connection waited for.
enum Arrived {
    /// So many bytes of input; 0 when the peer has closed.
    Input(usize),
    /// Something was pushed.
    Pushes,
}

/// What the parsed batch ended with.
enum Step {
    /// All complete commands are run.
    Drained,
    /// Close after writing the output.
    Close,
    /// A command's reply takes a while; commands may be left in the input.
    Later(LaterReply),
    /// The peer turned out to be a replica.
    Feed(crate::server::replication::FeedStart),
    /// A command must wait until a pause is over; it is still in the input.
    Paused,
    /// A command must wait until a sync's snapshot has a value that it would change; it is still in the input.
    Held(u64),
    /// Enough output for now; commands may be left in the input.
    Flush,
}

/// A connection's socket, buffers and session.
pub struct Connection {
    node: Arc<Node>,
    stream: Stream,
    session: Session,
    /// What was read; the first `taken` bytes of it are run already.
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
    /// Replies in the output that wait until what they tell of is durable.
    pub(super) held: HeldReplies,
    parser: RequestParser,
    args: ArgSpans,
    config_version: u64,
    max_query_bytes: usize,
    output_limits: OutputBufferLimits,
    /// Output is written in the middle of a batch beyond this.
    flush_bytes: usize,
    slow: SlowReader,
}

/// What a writing of the output goes on to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteUntil {
    /// All of it is written.
    Written,
    /// All of it is written, or the client, which does not read, has sent more commands and has little output waiting.
    Asked,
    /// All of it is written, or the client does not read and has little output waiting: there are commands to run already.
    Little,
}

impl Connection {
    fn new(node: Arc<Node>, stream: Stream, info: Arc<ClientInfo>) -> Connection {
        let config = node.config();
        let mut session = Session::new(info, node.settings(), false);
        session.be_newcomer(&node.acl);
        let authenticated = session.authenticated;
        session.acks.set_default(config.durable_acks);
        let limits = RequestLimits { max_bulk_bytes: session.settings.max_bulk_bytes as i64, authenticated };
        let mut connection = Connection {
            config_version: 0,
            max_query_bytes: 0,
            output_limits: config.client_output_buffer_limit,
            flush_bytes: FLUSH_BYTES,
            slow: SlowReader::default(),
            node,
            stream,
            session,
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            held: HeldReplies::default(),
            parser: RequestParser::new(limits),
            args: ArgSpans::new(),
        };
        connection.take_config();
        connection
    }

    async fn run(&mut self) -> io::Result<()> {
        self.session.info.mailbox.attach().await;
        loop {
            match self.read_some().await? {
                Arrived::Input(0) => return Ok(()),
                Arrived::Input(_) => {}
                Arrived::Pushes => {
                    let read = self.input.len();
                    self.deliver_pushes(WriteUntil::Asked).await?;
                    if self.input.len() == read {
                        continue;
                    }
                }
            }
            loop {
                let step = self.run_batch();
                self.end_batch();
                after_others().await;
                let read = self.input.len();
                let held = match &step {
                    Step::Drained => self.deliver(WriteUntil::Asked).await?,
                    Step::Flush => self.deliver(WriteUntil::Little).await?,
                    // Its own time runs meanwhile.
                    Step::Later(_) => false,
                    _ => self.deliver(WriteUntil::Written).await?,
                };
                match step {
                    // What was read while replies were held or written may hold whole commands.
                    Step::Drained if held || self.input.len() > read => {}
                    Step::Drained => break,
                    Step::Flush => {}
                    Step::Close => return Ok(()),
                    Step::Paused => self.wait_unpaused().await?,
                    Step::Held(version) => self.wait_past(version).await?,
                    Step::Later(reply) => self.finish_later(reply).await?,
                    Step::Feed(start) => return self.feed(start).await,
                }
            }
        }
    }

    /// Waits for input, and reads what is there, or for pushes.
    async fn read_some(&mut self) -> io::Result<Arrived> {
        if self.input.len() - self.taken > self.max_query_bytes {
            return Err(io::Error::other("client query buffer limit reached"));
        }
        let count = tokio::select! {
            biased;
            read = read_into(&mut self.stream, &mut self.input) => read?,
            () = self.session.info.mailbox.filled() => return Ok(Arrived::Pushes),
        };
        add(&self.node.stats.input_bytes, count as u64);
        Ok(Arrived::Input(count))
    }

    /// Runs the complete commands of the input.
    fn run_batch(&mut self) -> Step {
        self.begin_batch();
        if self.session.user.gone {
            return Step::Close;
        }
        loop {
            self.parser.limits.authenticated =
                self.session.authenticated || !self.node.gate.has(bits::PASSWORD);
            match self.parser.parse(&self.input[self.taken..], &mut self.args) {
                Ok(Parsed::Complete { consumed }) => {
                    if self.node.gate.has(bits::PAUSED | bits::SYNCING)
                        && let Some(step) = self.must_wait()
                    {
                        return step;
                    }
                    let next = self.run_one();
                    if let Next::Paused = next {
                        return Step::Paused;
                    }
                    self.taken += consumed;
                    match next {
                        Next::Continue | Next::Pushed => {}
                        Next::Close => return Step::Close,
                        Next::Later(reply) => return Step::Later(reply),
                        Next::Feed(start) => return Step::Feed(start),
                        Next::Paused => unreachable!("returned above"),
                        Next::Migrate(_) => unreachable!("made into a later reply"),
                    }
                    if self.session.bits != 0 {
                        // Its own message comes right behind the reply that told how many got it.
                        self.take_pushes();
                    }
                    if self.output.len() > self.flush_bytes {
                        return Step::Flush;
                    }
                }
                Ok(Parsed::Empty { consumed }) => self.taken += consumed,
                Ok(Parsed::Incomplete { .. }) => return Step::Drained,
                Err(error) => {
                    let text = error.reply_text();
                    let mut reply = crate::resp::reply::Reply::new(&mut self.output, self.session.resp3);
                    reply.error(&text);
                    tracing::debug!(addr = %self.session.info.addr, %error, "closing after a protocol error");
                    return Step::Close;
                }
            }
        }
    }

    fn run_one(&mut self) -> Next {
        let view = self.args.view(&self.input[self.taken..]);
        let args: SmallVec<[&[u8]; 8]> = view.iter().collect();
        let mark = self.output.len();
        if self.session.reply_mode == ReplyMode::SkipNext {
            self.session.reply_mode = ReplyMode::Skip;
        }
        let next = match dispatch::execute(&self.node, &mut self.session, &args, &mut self.output) {
            Next::Migrate(migration) => Next::Later(super::migrate::start(*migration, self.session.resp3)),
            next => next,
        };
        drop(args);
        // CLIENT REPLY may have changed the mode; what counts is the one it chose.
        self.drop_unwanted(mark, &next);
        if self.session.acks.wanted > 0 {
            let need = self.session.acks.need.take();
            self.hold_since(mark, need);
        }
        next
    }

    /// Takes the reply since `mark` back if the client wants none.
    fn drop_unwanted(&mut self, mark: usize, next: &Next) {
        match self.session.reply_mode {
            ReplyMode::On | ReplyMode::SkipNext => {}
            ReplyMode::Off if matches!(next, Next::Pushed) => {}
            ReplyMode::Off => self.output.truncate(mark),
            ReplyMode::Skip => {
                if !matches!(next, Next::Pushed) {
                    self.output.truncate(mark);
                }
                if !matches!(next, Next::Later(_) | Next::Paused) {
                    self.session.reply_mode = ReplyMode::On;
                }
            }
        }
    }

    /// Holds the reply that was written since `mark`, if it depends on something and is one at all.
    fn hold_since(&mut self, mark: usize, need: Option<Need>) {
        if let Some(need) = need
            && self.output.len() > mark
        {
            self.held.push(mark, self.output.len(), need);
        }
    }

    /// Settles which of the held replies may go.
    pub(super) fn settle(&mut self, timed_out: bool) -> Settled {
        self.node.acks.settle(&self.node, &mut self.held, &mut self.output, timed_out)
    }

    /// Must the parsed command wait, for the end of a CLIENT PAUSE or for a sync's snapshot?
    #[cold]
    fn must_wait(&self) -> Option<Step> {
        let view = self.args.view(&self.input[self.taken..]);
        let args: SmallVec<[&[u8]; 8]> = view.iter().collect();
        let queued = self.session.transaction.as_ref().map(|transaction| &transaction.queue[..]);
        let gate = &self.node.gate;
        if self.session.info.kind() != ClientKind::Normal {
            return None;
        }
        if gate.has(bits::PAUSED) && self.node.pause.holds(&args, queued) {
            return Some(Step::Paused);
        }
        let is_syncing = gate.has(bits::SYNCING);
        let syncs = &self.node.replicas.syncs;
        is_syncing.then(|| syncs.holds(&self.node, &self.session, &args)).flatten().map(Step::Held)
    }

    /// Waits until a sync's snapshot has taken in more.
    async fn wait_past(&mut self, version: u64) -> io::Result<()> {
        let node = self.node.clone();
        self.wait_delivering(node.replicas.syncs.past(version)).await
    }

    /// Waits for the end of a pause.
    async fn wait_unpaused(&mut self) -> io::Result<()> {
        let node = self.node.clone();
        let _held_back = node.clients.hold_back(self.session.info.clone());
        self.wait_delivering(node.pause.wait(&node.gate, || node.now_ms())).await
    }

    /// Waits for something while the client's disconnect is watched for and its input is read ahead.
    pub(super) async fn wait_for<T>(&mut self, waited_for: impl Future<Output = T>) -> io::Result<T> {
        tokio::pin!(waited_for);
        loop {
            tokio::select! {
                biased;
                outcome = &mut waited_for => return Ok(outcome),
                read = read_ahead(&mut self.stream, &mut self.input, self.max_query_bytes) => match read {
                    Ok(0) => return Err(io::ErrorKind::ConnectionAborted.into()),
                    Ok(_) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    fn begin_batch(&mut self) {
        // What was pushed before the client sent its commands comes before their replies.
        self.take_pushes();
        self.session.now_ms = self.node.now_ms();
        self.session.tally.begin();
        self.session.begin_tracked_batch();
        self.node.acl.refresh(&mut self.session.user);
        if self.node.config_version() != self.config_version {
            self.take_config();
        }
    }

    /// Takes what it needs of the configuration.
    fn take_config(&mut self) {
        self.config_version = self.node.config_version();
        self.session.settings = self.node.settings();
        self.session.acks.set_default(self.node.acks.by_default());
        self.parser.limits.max_bulk_bytes = self.session.settings.max_bulk_bytes as i64;
        let config = self.node.config();
        self.max_query_bytes = config.client_query_buffer_limit_bytes as usize;
        self.output_limits = config.client_output_buffer_limit;
        // Small replies of many commands are not to add up to the limit.
        self.flush_bytes = match self.output_limits.normal.hard_bytes {
            0 => FLUSH_BYTES,
            hard => FLUSH_BYTES.min(usize::try_from(hard / 2).unwrap_or(FLUSH_BYTES)),
        };
    }

    fn end_batch(&mut self) {
        self.drop_taken();
        self.session.end_tracked_batch();
        let info = &self.session.info;
        info.active_at_ms.store(self.session.now_ms, Ordering::Relaxed);
        info.commands.fetch_add(self.session.batch_commands, Ordering::Relaxed);
        info.last_command.store(self.session.last_command, Ordering::Relaxed);
        let (unread, free) = (self.input.len() - self.taken, self.input.capacity() - self.input.len());
        info.query_bytes.store(unread, Ordering::Relaxed);
        info.query_free_bytes.store(free, Ordering::Relaxed);
        if self.node.client_memory.is_limited() {
            self.tell_memory();
        }
        self.node.take_counts(&mut self.session);
        self.node.tell_of_changes();
    }

    /// Tells what the buffers take, where there is a limit; whoever exceeds it is disconnected then.
    #[cold]
    fn tell_memory(&self) {
        if self.node.client_memory.is_limited() && self.node.client_memory.tell(&self.session.info) {
            client_eviction::make_room(&self.node);
        }
    }

    /// Forgets the input that was run, and gives a big buffer back once it is empty. What is far less than the rest stays
    /// for now: the rest would be moved again and again.
    fn drop_taken(&mut self) {
        if self.taken < self.input.len() / 2 {
            return;
        }
        let taken = std::mem::take(&mut self.taken);
        if taken < self.input.len() {
            self.input.drain(..taken);
        } else if self.input.capacity() > KEPT_INPUT_BYTES {
            self.input = Vec::new();
        } else {
            self.input.clear();
        }
    }

    /// Writes the output, once none of it has to wait; true if some of it had to.
    async fn deliver(&mut self, until: WriteUntil) -> io::Result<bool> {
        if self.node.gate.has(bits::APPENDED | bits::FILE_BROKEN) {
            self.hold_for_file().await?;
        }
        let held = !self.held.is_empty();
        if held {
            self.hold().await?;
        }
        self.write_output(until).await?;
        Ok(held)
    }

    /// Writes the first `count` bytes of the output and takes them from it.
    pub(super) async fn write_front(&mut self, count: usize) -> io::Result<()> {
        if count > 0 {
            self.write_up_to(count, WriteUntil::Written).await?;
            self.output.drain(..count);
            self.held.written(count);
        }
        Ok(())
    }

    /// Writes all output.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.write_output(WriteUntil::Written).await
    }

    /// Writes the output until then.
    pub(super) async fn write_output(&mut self, until: WriteUntil) -> io::Result<()> {
        let written = self.write_up_to(self.output.len(), until).await?;
        if written < self.output.len() {
            // The rest is less than what is written at a time.
            self.output.drain(..written);
            return Ok(());
        }
        self.output.clear();
        if self.output.capacity() > KEPT_OUTPUT_BYTES {
            self.output = Vec::new();
        }
        Ok(())
    }

    /// Writes the output up to `end`, and tells how much of it is written.
    async fn write_up_to(&mut self, end: usize, until: WriteUntil) -> io::Result<usize> {
        let mut written = 0;
        let mut has_ended = false;
        let mut is_asked = until == WriteUntil::Little;
        self.slow.set_limit(self.output_limit(), self.session.info.kind());
        self.slow.check_hard(self.output.len())?;
        while written < end {
            match self.stream.try_write(&self.output[written..end]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = end - written;
                    self.session.info.output_bytes.store(left, Ordering::Relaxed);
                    self.session.info.output_room_bytes.store(self.output.capacity(), Ordering::Relaxed);
                    self.tell_memory();
                    // A client may send all of a long pipeline before it reads any reply.
                    let reads = !has_ended && self.input.len() - self.taken < self.max_query_bytes;
                    let before = self.input.len();
                    let (stream, input) = (&self.stream, &mut self.input);
                    let room = async {
                        has_ended |= room_to_write(stream, input, reads).await?;
                        Ok(())
                    };
                    self.slow.wait(left, room).await?;
                    add(&self.node.stats.input_bytes, (self.input.len() - before) as u64);
                    is_asked |= until == WriteUntil::Asked && self.input.len() > before;
                    if is_asked && left < self.flush_bytes {
                        add(&self.node.stats.output_bytes, written as u64);
                        return Ok(written);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        add(&self.node.stats.output_bytes, written as u64);
        self.slow.has_caught_up();
        self.session.info.output_bytes.store(0, Ordering::Relaxed);
        self.session.info.output_room_bytes.store(0, Ordering::Relaxed);
        Ok(written)
    }

    /// Writes what stands before a later reply. Whoever does not read it is told that a wait is over when it does, but the
    /// wait is over in time: `Some` where the reply was there before all was written.
    async fn deliver_before(&mut self, reply: &mut Measured) -> io::Result<Option<Vec<u8>>> {
        let mut delivering = pin!(self.deliver(WriteUntil::Written));
        let mut early = None;
        loop {
            tokio::select! {
                biased;
                delivered = &mut delivering => return delivered.map(|_| early),
                bytes = &mut *reply, if early.is_none() => early = Some(bytes),
            }
        }
    }

    /// Awaits a reply while watching for the client's disconnect, which ends the wait.
    async fn finish_later(&mut self, reply: LaterReply) -> io::Result<()> {
        let mut reply = Measured::new(reply);
        let bytes = match self.deliver_before(&mut reply).await? {
            Some(bytes) => bytes,
            None => self.wait_delivering(&mut reply).await?,
        };
        later::end(&self.node, &mut self.session, reply.worked(), &bytes);
        let mark = self.output.len();
        match self.session.reply_mode {
            ReplyMode::On | ReplyMode::SkipNext => self.output.extend_from_slice(&bytes),
            ReplyMode::Off => {}
            ReplyMode::Skip => self.session.reply_mode = ReplyMode::On,
        }
        self.session.last_write = self.node.log.end();
        let need = acks::later_need(&self.node, &mut self.session);
        // Whose wait was ended by force is told of no data.
        self.hold_since(mark, need.filter(|_| !bytes.starts_with(b"-UNBLOCKED")));
        self.deliver(WriteUntil::Written).await?;
        Ok(())
    }

    async fn feed(&mut self, start: crate::server::replication::FeedStart) -> io::Result<()> {
        // A replica is sent the log and nothing else.
        self.leave_pushers();
        super::feed::feed(self, start).await
    }

    /// The node.
    pub(super) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The session.
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The session, to be changed.
    pub(super) fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The limits of the output that may wait.
    pub(super) fn output_limits(&self) -> &OutputBufferLimits {
        &self.output_limits
    }

    /// Moves what was pushed behind the output, but no more than is written at a time. True if there was any.
    #[inline]
    pub(super) fn take_pushes(&mut self) -> bool {
        self.session.info.mailbox.take_into(&mut self.output, FLUSH_BYTES)
    }

    /// What is still to be written.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Reads and runs what a replica says; its acknowledgements are not answered.
    pub(super) async fn read_commands(&mut self) -> io::Result<()> {
        let got = read_ahead(&mut self.stream, &mut self.input, self.max_query_bytes).await?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.run_commands()
    }

    fn run_commands(&mut self) -> io::Result<()> {
        let mark = self.output.len();
        let step = self.run_batch();
        self.output.truncate(mark);
        self.held.clear();
        self.end_batch();
        match step {
            Step::Drained | Step::Flush => Ok(()),
            _ => Err(io::Error::other("a replica sent what no replica sends")),
        }
    }

    /// Reads what a replica has said already, if anything, and runs it.
    fn read_acks(&mut self) -> io::Result<()> {
        match read_now(&self.stream, &mut self.input)? {
            Some(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some(_) => self.run_commands(),
            None => Ok(()),
        }
    }

    /// Writes all output to a replica, taking in its acknowledgements while it is slow.
    pub(super) async fn flush_to_replica(&mut self) -> io::Result<()> {
        let mut output = std::mem::take(&mut self.output);
        self.session.info.output_bytes.store(output.capacity(), Ordering::Relaxed);
        self.write_to_replica(&output).await?;
        output.clear();
        // A replica that is in step needs little.
        if output.capacity() <= REPLICA_OUTPUT_KEPT_BYTES {
            self.output = output;
        }
        self.session.info.output_bytes.store(0, Ordering::Relaxed);
        self.session.info.output_room_bytes.store(self.output.capacity(), Ordering::Relaxed);
        Ok(())
    }

    /// Writes bytes to a replica, taking in its acknowledgements while it is slow.
    pub(super) async fn write_to_replica(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            match self.stream.try_write(&bytes[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let has_room = self.input.len() < ahead_max(self.max_query_bytes);
                    tokio::select! {
                        writable = self.stream.writable() => writable?,
                        readable = self.stream.readable(), if has_room => {
                            readable?;
                            self.read_acks()?;
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The largest buffer for output to a replica that is kept from one piece of the stream to the next.
const REPLICA_OUTPUT_KEPT_BYTES: usize = 64 * 1024;

/// How much input is read ahead of a command that waits, in bytes.
fn ahead_max(max_query_bytes: usize) -> usize {
    max_query_bytes.min(1 << 20)
}

/// Reads more input while a command waits, so that a disconnect is seen; at the limit it only waits.
pub(super) async fn read_ahead<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut Vec<u8>,
    max_bytes: usize,
) -> io::Result<usize> {
    if input.len() >= ahead_max(max_bytes) {
        return std::future::pending().await;
    }
    read_into(stream, input).await
}

thread_local! {
    /// One read buffer for all connections of an I/O thread, so that an idle connection holds none.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Appends input that is there already; `None` if there is none, 0 when the peer has closed.
fn read_now(stream: &Stream, input: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let read: io::Result<usize> = SCRATCH.with_borrow_mut(|scratch| {
        let count = stream.try_read(scratch)?;
        input.extend_from_slice(scratch.get(..count).unwrap_or_default());
        Ok(count)
    });
    match read {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        read => read.map(Some),
    }
}

/// Waits until there may be room for output or, if it `reads`, until some input was read; true if the peer has sent all
/// it will.
async fn room_to_write(stream: &Stream, input: &mut Vec<u8>, reads: bool) -> io::Result<bool> {
    tokio::select! {
        biased;
        writable = stream.writable() => writable.map(|()| false),
        readable = stream.readable(), if reads => {
            readable?;
            Ok(read_now(stream, input)? == Some(0))
        }
    }
}

/// Waits for input and appends what is there; 0 when the peer has closed. A read that does not fill the
/// buffer tells tokio that the socket is drained, which saves a read that would only say so.
async fn read_into<S: AsyncRead + Unpin>(stream: &mut S, input: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|task| {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut *stream).poll_read(task, &mut buffer))?;
            input.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    })
    .await
}

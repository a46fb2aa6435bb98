//! The proxy itself: a listener, and for every connection two loops, one a direction.
//!
//! Knows no protocol; whole messages are forwarded as the bytes that came.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Address;
use super::fault::{self, Action};
use super::outbox::Outbox;
use super::protocol::{Protocol, Request, Role};
use super::resp::Parsed;
use super::session::{
    Befalls, Fate, ReplyFault, Session, Waiting, befalls, keeps_back, locked, settle,
};
use super::shared::{Life, Shared};

/// The longest reply that is held or lost as a whole; of a longer one it is what was there.
const MOST_WITHHELD: usize = 64 * 1024 * 1024;
/// How much is read at once.
const CHUNK: usize = 64 * 1024;
/// With less room than this a new chunk begins. Not sooner: a recorded message keeps the
/// chunk that it came in.
const LEAST: usize = 4 * 1024;

pub(super) type Reader = Box<dyn AsyncRead + Send + Unpin>;
pub(super) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Opens a connection to a service.
pub(super) async fn connect(address: &Address) -> io::Result<(Reader, Writer)> {
    Ok(match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            (Box::new(reader), Box::new(writer))
        }
        Address::Unix(path) => {
            let (reader, writer) = UnixStream::connect(path).await?.into_split();
            (Box::new(reader), Box::new(writer))
        }
    })
}

/// Accepts connections until it is dropped; they end with it.
pub(super) async fn accept<P, F>(shared: Arc<Shared>, open: impl Fn() -> F)
where
    P: Protocol,
    F: Future<Output = io::Result<(P, Reader, Writer)>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut epoch = shared.epoch.subscribe();
    loop {
        let accepted = tokio::select! {
            // A new listener has to be polled for the first time.
            _ = epoch.changed() => continue,
            Some(_) = connections.join_next() => continue,
            accepted = poll_fn(|cx| {
                let mut state = shared.state();
                let Some(listener) = &state.listener else {
                    return Poll::Pending;
                };
                let accepted = std::task::ready!(listener.poll_accept(cx));
                state.connections += 1;
                let life = Life { connection: state.connections, epoch: *shared.epoch.borrow() };
                Poll::Ready(accepted.map(|(stream, _)| (stream, life)))
            }) => accepted,
        };
        match accepted {
            Ok((stream, life)) => {
                let shared = Arc::clone(&shared);
                let opening = open();
                connections.spawn(async move {
                    let mut epoch = shared.epoch.subscribe();
                    tokio::select! {
                        _ = epoch.wait_for(|epoch| *epoch != life.epoch) => {}
                        () = connection(&shared, life, stream, opening) => {}
                    }
                });
            }
            // Out of file descriptors: trying again at once would only burn the processor
            // that those who hold them need to get done.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn connection<P: Protocol>(
    shared: &Shared,
    life: Life,
    mut stream: TcpStream,
    opening: impl Future<Output = io::Result<(P, Reader, Writer)>>,
) {
    // Not worth losing the connection for.
    let _ = stream.set_nodelay(true);
    let (mut protocol, from_server, to_server) = match opening.await {
        Ok(opened) => opened,
        Err(error) => {
            let line = shared.app_said("connect");
            shared.timeline.reply(line, error.to_string());
            return;
        }
    };
    let mut buffer = BytesMut::new();
    if protocol.greet(&mut stream, &mut buffer).await.is_err() {
        return;
    }
    let (from_app, to_app) = stream.into_split();
    let session = Mutex::new(Session {
        protocol,
        waiting: VecDeque::new(),
        unanswered: watch::Sender::new(0),
    });
    let requests = async {
        match requests(shared, life, &session, buffer, from_app, to_server).await {
            // The app said all it had to say; the answers are still under way.
            Direction::Ended(_still_open) => std::future::pending().await,
            // What the app was told must not hang on how quick the server is: it hears the
            // answers to all that was forwarded before.
            Direction::Cut => {
                let mut unanswered = locked(&session).unanswered.subscribe();
                let _ = unanswered.wait_for(|unanswered| *unanswered == 0).await;
            }
        }
    };
    tokio::select! {
        () = requests => {}
        () = replies(shared, life, &session, from_server, to_app) => {}
    }
}

/// How a direction came to its end.
enum Direction {
    /// By itself; the other one goes on. The writer is kept, since dropping it says
    /// goodbye to the server.
    Ended(Option<Writer>),
    /// By a fault, and the connection with it.
    Cut,
}

async fn requests<P: Protocol>(
    shared: &Shared,
    life: Life,
    session: &Mutex<Session<P>>,
    mut buffer: BytesMut,
    mut from_app: impl AsyncRead + Unpin,
    to_server: Writer,
) -> Direction {
    let mut outbox = Outbox::new(to_server);
    loop {
        let parsed = locked(session).protocol.request(&mut buffer);
        match parsed {
            Parsed::Whole(request) => {
                let Some(forward) = receive(shared, life, session, request, &mut outbox).await
                else {
                    let _ = outbox.flush().await;
                    return Direction::Cut;
                };
                outbox.put(&forward);
            }
            Parsed::Partial => {
                if outbox.flush().await.is_err() {
                    // What the server said before it went away is still to be read.
                    return Direction::Ended(Some(outbox.writer));
                }
                make_room(&mut buffer);
                // An app that was killed has ended its side, however that looks from here.
                if from_app.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                    let _ = outbox.writer.write_all(&buffer).await;
                    let _ = outbox.writer.shutdown().await;
                    return Direction::Ended(Some(outbox.writer));
                }
            }
            Parsed::Garbage => {
                let _ = outbox.flush().await;
                let passes = locked(session).protocol.passes_garbage();
                let line = shared.app_said(format!("bytes that are not {}", P::NAME));
                if !passes {
                    shared.timeline.reply(line, "connection cut");
                    return Direction::Cut;
                }
                shared
                    .timeline
                    .note(line, "passed through unread from here on");
                raw(&mut buffer, &mut from_app, &mut outbox.writer).await;
                return Direction::Ended(Some(outbox.writer));
            }
        }
    }
}

/// Enters a request and lets its faults happen. What then goes to the server; nothing, if
/// the connection is to be cut.
async fn receive<P: Protocol>(
    shared: &Shared,
    life: Life,
    session: &Mutex<Session<P>>,
    request: Request<P::Expect>,
    before: &mut Outbox<Writer>,
) -> Option<Bytes> {
    let mut faults = Vec::new();
    let mut id = None;
    if let Some(kind) = request.kind {
        let received = shared.received(life, kind)?;
        id = Some(received.id);
        if !received.actions.is_empty() {
            // What befalls this message is not to befall those before it.
            before.put(request.urge);
            let _ = before.flush().await;
        }
        for action in received.actions {
            match action {
                Action::Hold(held) => {
                    if held.stand_still(received.message.clone()).await {
                        shared.went_on(received.id, fault::HELD);
                    }
                }
                Action::Step(steps) => {
                    fault::step(&steps, received.message.clone()).await;
                    shared.went_on(received.id, fault::HELD);
                }
                Action::Delay(time) => tokio::time::sleep(time).await,
                Action::HoldReply(held) => faults.push(ReplyFault::Hold(held)),
                Action::DropReply => faults.push(ReplyFault::Drop),
                Action::Cut => return None,
            }
        }
        if !shared.lives(life) {
            return None;
        }
    }
    if let Some(mut expect) = request.expect {
        // Before it is sent: the answer may be quicker than this task.
        let passed_over = locked(session).protocol.passed_over(&mut expect);
        if let Some(reply) = passed_over {
            let of = id.and_then(|id| Some((id, shared.answered(id, reply)?)));
            return match (Befalls { faults, of }).happen(shared).await {
                Fate::PassedOn => Some(request.forward),
                Fate::Lost => None,
            };
        }
        let mut session = locked(session);
        session
            .unanswered
            .send_modify(|unanswered| *unanswered += 1);
        session.waiting.push_back(Waiting {
            id,
            expect,
            refusal: request.refusal,
            faults,
        });
    }
    Some(request.forward)
}

async fn replies<P: Protocol>(
    shared: &Shared,
    life: Life,
    session: &Mutex<Session<P>>,
    mut from_server: impl AsyncRead + Unpin,
    to_app: impl AsyncWrite + Unpin,
) {
    let mut buffer = BytesMut::new();
    let mut outbox = Outbox::new(to_app);
    // What is there of a reply that a fault keeps back.
    let mut withheld = BytesMut::new();
    let mut completed = 0;
    let mut ended = false;
    loop {
        let parsed = {
            let session = &mut *locked(session);
            let oldest = session
                .waiting
                .front_mut()
                .map(|waiting| &mut waiting.expect);
            session.protocol.answer(&mut buffer, oldest, ended)
        };
        match parsed {
            Parsed::Whole(answer) => {
                let raw = match answer.role {
                    Role::Reply { reply, last } => {
                        let (raw, befalls) = settle(shared, session, answer.raw, reply, last);
                        if !befalls.faults.is_empty() {
                            pass_on(session, &mut outbox, &mut completed).await;
                        }
                        completed += usize::from(last);
                        if befalls.happen(shared).await == Fate::Lost {
                            return;
                        }
                        outbox.put(&withheld.split());
                        raw
                    }
                    Role::Part if keeps_back(session) => {
                        withheld.extend_from_slice(&answer.raw);
                        if withheld.len() > MOST_WITHHELD {
                            pass_on(session, &mut outbox, &mut completed).await;
                            if befalls(shared, session).happen(shared).await == Fate::Lost {
                                return;
                            }
                            outbox.put(&withheld.split());
                        }
                        continue;
                    }
                    Role::Part | Role::Interim => answer.raw,
                    Role::Push(what) => {
                        shared.service_said(shared.timeline.in_words(&what));
                        answer.raw
                    }
                    Role::Failed { kind, reply, last } => {
                        shared.failed(life, kind, reply);
                        if last {
                            locked(session).waiting.pop_front();
                            completed += 1;
                        }
                        answer.raw
                    }
                };
                outbox.put(&raw);
            }
            Parsed::Partial if ended => {
                outbox.put(&buffer);
                pass_on(session, &mut outbox, &mut completed).await;
                return;
            }
            Parsed::Partial => {
                pass_on(session, &mut outbox, &mut completed).await;
                make_room(&mut buffer);
                ended = from_server.read_buf(&mut buffer).await.unwrap_or(0) == 0;
            }
            Parsed::Garbage => {
                pass_on(session, &mut outbox, &mut completed).await;
                let line = shared.service_said(format!("bytes that are not {}", P::NAME));
                shared
                    .timeline
                    .note(line, "passed through unread from here on");
                raw(&mut buffer, &mut from_server, &mut outbox.writer).await;
                return;
            }
        }
    }
}

/// Sends the app all answers that are ready, `completed` of which are the last to a request.
async fn pass_on<P: Protocol>(
    session: &Mutex<Session<P>>,
    answers: &mut Outbox<impl AsyncWrite + Unpin>,
    completed: &mut usize,
) {
    // An app that has gone is no reason to stop: what it sent before it went still reaches
    // the server, and the answers are still worth recording.
    let _ = answers.flush().await;
    let completed = std::mem::take(completed);
    if completed > 0 {
        locked(session)
            .unanswered
            .send_modify(|unanswered| *unanswered -= completed);
    }
}

fn make_room(buffer: &mut BytesMut) {
    if buffer.capacity() - buffer.len() < LEAST {
        buffer.reserve(CHUNK);
    }
}

/// Passes on whatever comes, until it ends.
async fn raw(
    buffer: &mut BytesMut,
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) {
    if to.write_all(buffer).await.is_ok() {
        let _ = tokio::io::copy(from, to).await;
    }
    let _ = to.shutdown().await;
}

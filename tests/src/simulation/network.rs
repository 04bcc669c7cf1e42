//! How a stream goes on: each side carries out what its machine wants, one thing at a time, and hears what the other said.

use qianshou_exchange::domain::{
    consumer::{self, Consumer},
    page::{self, Head, Place, Signer},
    provider::{self, Advance, Source, SourceContent},
};
use qianshou_kernel::ledger::Content;
use qianshou_proto::{
    common::v1::Version,
    exchange::v1::{PageEntry, page_entry, pull_request, pull_response},
};
use rand::Rng as _;

use super::{
    Lawful,
    cast::{self, NODES},
    must,
    oracle::FORGED,
    world::{Cue, Inbound, Stream, Way, World},
};

/// What becomes of a commit.
enum Fate {
    Done,
    /// Another process was there first.
    Refused,
    /// The process falls over, after it or before.
    Crash {
        done: bool,
    },
}

impl World {
    /// One side of a stream takes one step, if there is one to take; `rough`: with everything that may go wrong.
    pub fn proceed(&mut self, at: usize, rough: bool) -> Lawful<bool> {
        let Stream { outbound, inbound, up, down, .. } = &self.streams[at];
        let (busy, listening) = (!outbound.todo.is_empty(), outbound.todo.is_empty() && outbound.cues.is_empty());
        let calling = inbound.as_ref().is_some_and(|inbound| inbound.todo.is_empty());
        let can = [
            busy,
            !busy && !listening,
            listening && !up.is_empty(),
            inbound.is_some() && !calling,
            calling && !down.is_empty(),
            inbound.is_none(),
        ];
        let able: Vec<usize> = (0..can.len()).filter(|what| can[*what]).collect();
        let Some(what) = able.get(self.rng.random_range(0..able.len().max(1))) else { return Ok(false) };
        match what {
            0 => self.provide(at, rough)?,
            1 => self.cue(at),
            2 => self.hear_consumer(at, rough),
            3 => self.consume(at, rough)?,
            4 => self.hear_provider(at, rough),
            // In good weather the next call is made by whoever waits for quiet.
            _ if rough => self.call(at),
            _ => return Ok(able.len() > 1),
        }
        Ok(true)
    }

    /// The consumer begins a call from what it has kept.
    pub fn call(&mut self, at: usize) {
        let stream = &mut self.streams[at];
        let node = &self.nodes[stream.to];
        let row = node.disk.inbound(&stream.accord.id);
        let key = cast::key(&stream.accord.provider).public();
        let mut machine =
            Consumer::new(stream.accord.clone(), key, cast::key(node.code), self.limits, self.mutation, row);
        stream.calls += 1;
        let todo = machine.handle(self.now(), consumer::Input::Open).into();
        let stream = &mut self.streams[at];
        stream.inbound = Some(Inbound { machine, call: stream.calls, todo });
    }

    /// The provider's machine takes one input.
    fn feed(&mut self, at: usize, input: provider::Input) {
        let now = self.now();
        let outbound = &mut self.streams[at].outbound;
        // What an answer leads to comes before what else was wanted.
        let outputs = outbound.machine.handle(now, input);
        outputs.into_iter().rev().for_each(|output| outbound.todo.push_front(output));
    }

    fn cue(&mut self, at: usize) {
        let stream = &mut self.streams[at];
        let disk = &self.nodes[stream.from].disk;
        let input = match stream.outbound.cues.pop_front() {
            Some(Cue::Look) => provider::Input::Ledger(disk.head()),
            Some(Cue::Refresh) => {
                let row = disk.outbound(&stream.accord.id);
                if row == *stream.outbound.machine.row() {
                    return;
                }
                provider::Input::Row(row)
            }
            Some(Cue::Open(call, hello)) => {
                stream.outbound.caller = Some(call);
                provider::Input::Hello(hello)
            }
            Some(Cue::Input(input)) => input,
            None => return,
        };
        self.feed(at, input);
    }

    /// The provider carries out one thing that its machine wants.
    fn provide(&mut self, at: usize, rough: bool) -> Lawful {
        let stream = &mut self.streams[at];
        let (from, id) = (stream.from, stream.accord.id.clone());
        let answer = match stream.outbound.todo.pop_front() {
            Some(provider::Output::Send(message)) => {
                stream.down.extend(stream.outbound.caller.map(|call| (call, Some(message))));
                return Ok(());
            }
            Some(provider::Output::Close) => {
                stream.down.extend(stream.outbound.caller.take().map(|call| (call, None)));
                return Ok(());
            }
            Some(provider::Output::Read { after, limit }) => self.read(at, after, limit),
            Some(provider::Output::Load { epoch, number }) => {
                provider::Input::Loaded(self.nodes[from].disk.page(&id, epoch, number))
            }
            Some(provider::Output::Commit(commit)) => match self.fate(rough) {
                Fate::Refused => provider::Input::Row(self.nodes[from].disk.outbound(&id)),
                Fate::Crash { done } => {
                    if done {
                        self.provider_commit(at, commit)?;
                    }
                    return self.crash(from);
                }
                Fate::Done => self.provider_commit(at, commit)?,
            },
            None => return Ok(()),
        };
        self.feed(at, answer);
        Ok(())
    }

    fn fate(&mut self, rough: bool) -> Fate {
        if rough && self.chance(self.weather.crash) {
            Fate::Crash { done: self.rng.random() }
        } else if rough && self.chance(self.weather.refuse) {
            Fate::Refused
        } else {
            Fate::Done
        }
    }

    fn read(&mut self, at: usize, after: u64, limit: u32) -> provider::Input {
        let Stream { accord, from, .. } = &self.streams[at];
        let node = &self.nodes[*from];
        let entries = node.disk.after(after, &accord.kinds(), limit);
        let names: Vec<String> =
            entries.iter().filter(|entry| entry.name.home() == node.code).map(|entry| entry.name.to_string()).collect();
        let shown = node.disk.held(&accord.id, &names);
        let sources = entries.into_iter().map(|entry| {
            let content = match entry.content {
                Content::Put { payload, .. } => SourceContent::Put { payload, pseudonym: cast::pseudonym(&entry.name) },
                Content::End(end) => SourceContent::End(end),
            };
            Source {
                position: entry.position,
                name: entry.name,
                version: entry.version,
                content,
                salt: self.rng.random(),
                trace: None,
            }
        });
        provider::Input::Entries { sources: sources.collect(), shown }
    }

    /// Commits for a provider; a forged page is the work of another process, so the machine learns of it by the row.
    fn provider_commit(&mut self, at: usize, mut commit: provider::Commit) -> Lawful<provider::Input> {
        let forged = match &mut commit {
            provider::Commit::Advance(advance) if advance.page.is_some() && self.chance(self.weather.forge) => {
                self.forge(at, advance);
                true
            }
            _ => false,
        };
        let Stream { accord, from, ever, .. } = &mut self.streams[at];
        let node = &mut self.nodes[*from];
        if !node.disk.outbound_commit(&commit) {
            return Ok(provider::Input::Row(node.disk.outbound(&accord.id)));
        }
        match &commit {
            provider::Commit::Advance(advance) => {
                if let Some(made) = &advance.page {
                    let before = node.memory.made.insert((at, made.epoch, made.number), made.digest);
                    must(before.is_none(), "pages-never-change", || {
                        format!("page {}.{} is made again", made.epoch, made.number)
                    })?;
                    ever.insert(made.digest);
                }
            }
            provider::Commit::Acknowledge { .. } => self.check_receipts(at)?,
            provider::Commit::Mark { .. } => {}
        }
        let Stream { accord, from, .. } = &self.streams[at];
        Ok(if forged {
            provider::Input::Row(self.nodes[*from].disk.outbound(&accord.id))
        } else {
            provider::Input::Committed
        })
    }

    /// A provider that speaks for others: its page gets an entry that is not its own to send, or is no good.
    fn forge(&mut self, at: usize, advance: &mut Advance) {
        let Some(made) = &mut advance.page else { return };
        let Stream { accord, to, .. } = &self.streams[at];
        let head = Head::read(&made.page).unwrap();
        let others = NODES.iter().filter(|code| **code != accord.provider);
        let others: Vec<&str> = others.copied().collect();
        let mut home = others[self.rng.random_range(0..others.len())];
        // Another provider's record, if the consumer has one.
        let known = self.nodes[*to].disk.after(0, &["agencies"], u32::MAX);
        let known = known.iter().rev().find(|entry| entry.name.home() == home).map(|entry| entry.name.id().to_owned());
        let mut id = known.unwrap_or_else(|| "forged".to_owned());
        let (mut division, mut kind, mut version) =
            ("640104", "agencies", Version { epoch: Some(head.epoch), revision: Some(1_000) });
        let bad = self.rng.random_range(0..8);
        if bad > 3 {
            (home, id) = (&accord.provider, "forged".to_owned());
        }
        match bad {
            4 => division = "350100",
            5 => kind = "stations",
            6 => version.epoch = Some(head.epoch + 1),
            7 => division = "\u{0}",
            _ => {}
        }
        let mut content = vec![];
        qianshou_kernel::wire::put_text(&mut content, 6, division);
        let entry = PageEntry {
            salt: Some(FORGED.to_vec().into()),
            name: Some(format!("nodes/{home}/{kind}/{id}")),
            kind: Some(kind.to_owned()),
            home: Some(home.to_owned()),
            version: Some(version),
            content: Some(page_entry::Content::Put(content.into())),
            leaf: None,
        };
        let mut entries = std::mem::take(&mut made.page.entries);
        entries.insert(self.rng.random_range(0..=entries.len()), entry);
        let place = Place {
            stream: &head.stream,
            epoch: head.epoch,
            number: head.number,
            previous: head.previous,
            agreement: head.agreement,
        };
        *made =
            page::make(&place, entries, head.event, self.clock.today(), &*cast::key(&accord.provider) as &dyn Signer);
        advance.row.digest = made.digest;
        advance.row.entries += 1;
    }

    /// The provider hears a message, or does not.
    fn hear_consumer(&mut self, at: usize, rough: bool) {
        let Some((call, message)) = self.taken(at, rough, |stream| &mut stream.up) else { return };
        let Stream { outbound, down, .. } = &mut self.streams[at];
        match message {
            Some(pull_request::Message::Hello(hello)) => {
                down.extend(outbound.caller.take().map(|before| (before, None)));
                outbound.cues.extend([Cue::Refresh, Cue::Look, Cue::Open(call, hello)]);
            }
            _ if outbound.caller != Some(call) => {}
            Some(pull_request::Message::Receipt(receipt)) => {
                outbound.cues.push_back(Cue::Input(provider::Input::Receipt(receipt)))
            }
            None => {
                outbound.caller = None;
                outbound.cues.push_back(Cue::Input(provider::Input::Gone));
            }
        }
    }

    /// The consumer hears a message, or does not.
    fn hear_provider(&mut self, at: usize, rough: bool) {
        let Some((call, message)) = self.taken(at, rough, |stream| &mut stream.down) else { return };
        let now = self.now();
        let stream = &mut self.streams[at];
        let Some(inbound) = stream.inbound.as_mut().filter(|inbound| inbound.call == call) else { return };
        let input = match message {
            Some(pull_response::Message::Welcome(welcome)) => consumer::Input::Welcome(welcome),
            Some(pull_response::Message::Page(page)) => consumer::Input::Page(page),
            Some(pull_response::Message::Idle(_)) => consumer::Input::Idle,
            Some(pull_response::Message::Stop(_)) | None => {
                stream.inbound = None;
                stream.up.push_back((call, None));
                return;
            }
        };
        inbound.todo.extend(inbound.machine.handle(now, input));
    }

    /// The consumer carries out one thing that its machine wants.
    fn consume(&mut self, at: usize, rough: bool) -> Lawful {
        let Stream { accord, to, inbound, up, .. } = &mut self.streams[at];
        let (to, id) = (*to, accord.id.clone());
        let Some((call, output)) = inbound.as_mut().and_then(|inbound| Some((inbound.call, inbound.todo.pop_front()?)))
        else {
            return Ok(());
        };
        let answer = match output {
            consumer::Output::Send(message) => {
                up.push_back((call, Some(message)));
                return Ok(());
            }
            consumer::Output::Close => {
                up.push_back((call, None));
                *inbound = None;
                return Ok(());
            }
            consumer::Output::Recall { epoch, number } => {
                consumer::Input::Recalled(self.nodes[to].disk.recall(&id, epoch, number))
            }
            consumer::Output::Commit(commit) => match self.fate(rough) {
                Fate::Refused => consumer::Input::Row(self.nodes[to].disk.inbound(&id)),
                Fate::Crash { done } => {
                    if done {
                        self.consumer_commit(at, &commit)?;
                    }
                    return self.crash(to);
                }
                Fate::Done => self.consumer_commit(at, &commit)?,
            },
        };
        let now = self.now();
        if let Some(inbound) = &mut self.streams[at].inbound {
            let outputs = inbound.machine.handle(now, answer);
            outputs.into_iter().rev().for_each(|output| inbound.todo.push_front(output));
        }
        Ok(())
    }

    fn consumer_commit(&mut self, at: usize, commit: &consumer::Commit) -> Lawful<consumer::Input> {
        let Stream { accord, to, ever, .. } = &self.streams[at];
        let node = &mut self.nodes[*to];
        if !node.disk.inbound_commit(&accord.provider, commit) {
            return Ok(consumer::Input::Row(node.disk.inbound(&accord.id)));
        }
        if let Some(advance) = &commit.advance {
            let head = Head::read(&advance.page).unwrap();
            must(ever.contains(&head.digest), "pages-never-change", || {
                format!("page {}.{} was never made", head.epoch, head.number)
            })?;
            node.memory.oracles.entry(at).or_default().apply(&advance.page)?;
        }
        self.check_inbound(at)?;
        Ok(consumer::Input::Committed)
    }

    /// The next message of a way; in rough weather perhaps another one, or the same again later, or none.
    fn taken<M: Clone>(
        &mut self,
        at: usize,
        rough: bool,
        way: fn(&mut Stream) -> &mut Way<M>,
    ) -> Option<(u64, Option<M>)> {
        let (lost, again, early) = if rough {
            (self.chance(self.weather.lose), self.chance(self.weather.repeat), self.chance(self.weather.reorder))
        } else {
            (false, false, false)
        };
        let way = way(&mut self.streams[at]);
        let place = if early { self.rng.random_range(0..way.len().max(1)) } else { 0 };
        let message = if again { way.get(place).cloned() } else { way.remove(place) };
        message.filter(|_| !lost)
    }
}

//! The world of one history: nodes, streams, and what may happen next.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use qianshou_exchange::domain::{
    Limits, Moment, Mutation,
    agreement::Accord,
    consumer::{self, Consumer},
    page::Signer,
    provider::{self, Provider},
    tree::Hash,
};
use qianshou_kernel::{
    clock::{Clock, format_day},
    id::Name,
    ledger::{Content, End},
};
use qianshou_proto::{
    common::v1::EndReason,
    exchange::v1::{AgreementState, Hello, pull_request, pull_response},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::{
    Lawful,
    cast::{self, NODES, PLAYS},
    disk::{Disk, Model},
    is_real, must,
    oracle::Oracle,
    sqlite::Sqlite,
};

const DAY_MS: i64 = 86_400_000;
/// 2023-11-15 in China.
const BEGINNING_MS: i64 = 1_700_000_000_000;

/// How rough this history is: chances in a thousand.
pub struct Weather {
    /// A message is lost, and another, and another.
    pub lose: u32,
    /// A message comes twice.
    pub repeat: u32,
    /// A message overtakes others.
    pub reorder: u32,
    /// A commit is the last thing a process does, or is not done at all.
    pub crash: u32,
    /// A commit meets another process's.
    pub refuse: u32,
    /// The provider puts in what is not its own.
    pub forge: u32,
}

/// What must be true of a node's disk; it is put back with the disk.
#[derive(Clone, Default)]
pub struct Memory {
    pub oracles: BTreeMap<usize, Oracle>,
    /// Digests of the pages made: stream, epoch, number.
    pub made: BTreeMap<(usize, u64, u64), Hash>,
    pub names: Vec<Name>,
}

pub struct Node {
    pub code: &'static str,
    pub disk: Box<dyn Disk>,
    pub memory: Memory,
    backup: Option<(Box<dyn Disk>, Memory)>,
}

/// What a provider's process does when it has nothing else to do.
pub enum Cue {
    /// Looks at what is kept of the stream.
    Refresh,
    /// Looks where the ledger stands.
    Look,
    /// Takes a call.
    Open(u64, Hello),
    Input(provider::Input),
}

pub struct Outbound {
    pub machine: Provider,
    pub cues: VecDeque<Cue>,
    pub todo: VecDeque<provider::Output>,
    pub caller: Option<u64>,
}

pub struct Inbound {
    pub machine: Consumer,
    pub call: u64,
    pub todo: VecDeque<consumer::Output>,
}

/// What is on the way, with the call it belongs to; `None`: the call is over.
pub type Way<M> = VecDeque<(u64, Option<M>)>;

pub struct Stream {
    pub accord: Arc<Accord>,
    pub from: usize,
    pub to: usize,
    pub outbound: Outbound,
    pub inbound: Option<Inbound>,
    pub calls: u64,
    pub up: Way<pull_request::Message>,
    pub down: Way<pull_response::Message>,
    /// Every page that was ever made lasting.
    pub ever: BTreeSet<Hash>,
    /// Receipts up to here (epoch, number) are of a consumer that was restored since.
    pub excused: (u64, u64),
}

pub struct World {
    pub rng: StdRng,
    pub clock: Clock,
    pub weather: Weather,
    pub limits: Limits,
    pub mutation: Option<Mutation>,
    pub nodes: Vec<Node>,
    pub streams: Vec<Stream>,
    length: u32,
    saved: u32,
}

impl World {
    pub fn of(seed: u64, mutation: Option<Mutation>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let real = is_real(seed);
        let clock = Clock::fixed(BEGINNING_MS);
        let mut up_to = |most: u32| if rng.random_bool(0.6) { rng.random_range(0..=most) } else { 0 };
        let weather = Weather {
            lose: up_to(80),
            repeat: up_to(150),
            reorder: up_to(150),
            crash: up_to(60),
            refuse: up_to(30),
            forge: up_to(300),
        };
        let limits = Limits {
            page_max_entries: rng.random_range(1..=5),
            page_max_bytes: [800, 1_600, 1 << 20][rng.random_range(0..3)],
            window_pages: rng.random_range(1..=4),
            text_max_chars: 4_000,
            record_max_bytes: 1 << 19,
        };
        let play = PLAYS[rng.random_range(0..PLAYS.len())];
        let disk = |code| -> Box<dyn Disk> {
            if real { Box::new(Sqlite::new(code, clock.clone())) } else { Box::new(Model::new()) }
        };
        let nodes: Vec<Node> =
            NODES.iter().map(|code| Node { code, disk: disk(code), memory: Memory::default(), backup: None }).collect();
        let streams = play.iter().map(|(from, to)| {
            let accord = cast::agreed((*from, *to));
            let outbound = Outbound::open(&accord, limits, &nodes[*from]);
            let (up, down) = (VecDeque::new(), VecDeque::new());
            Stream {
                accord,
                from: *from,
                to: *to,
                outbound,
                inbound: None,
                calls: 0,
                up,
                down,
                ever: BTreeSet::new(),
                excused: (0, 0),
            }
        });
        let streams = streams.collect();
        let length = rng.random_range(if real { 40..160 } else { 100..500 });
        Self { rng, clock, weather, limits, mutation, nodes, streams, length, saved: 0 }
    }

    /// The whole history; `steps` counts what has happened, also when it ends early.
    pub fn tell(mut self, steps: &mut u64) -> Lawful {
        for _ in 0..self.rng.random_range(0..12) {
            self.save();
        }
        for _ in 0..self.length {
            *steps += 1;
            self.step()?;
        }
        self.finish(steps)
    }

    /// One thing happens.
    fn step(&mut self) -> Lawful {
        let stream = self.rng.random_range(0..self.streams.len());
        let node = if self.rng.random() { self.streams[stream].from } else { self.streams[stream].to };
        match self.rng.random_range(0..1_000) {
            0..150 => self.save(),
            150..165 => self.cut(stream),
            165..175 => return self.crash(node),
            175..185 => self.back_up(node),
            185..190 => return self.restore(node),
            190..193 => self.nodes[node].disk.declare_epoch(),
            193..198 => self.clock.advance(DAY_MS),
            198..250 => self.beat(stream),
            _ => drop(self.proceed(stream, true)?),
        }
        Ok(())
    }

    /// What a decision may know.
    pub fn now(&self) -> Moment {
        Moment { today: self.clock.today(), state: AgreementState::InForce }
    }

    pub fn chance(&mut self, in_a_thousand: u32) -> bool {
        self.rng.random_range(0..1_000) < in_a_thousand
    }

    /// Somebody saves a record at one of the nodes that send.
    fn save(&mut self) {
        let stream = self.rng.random_range(0..self.streams.len());
        let from = self.streams[stream].from;
        let (today, rng, node) = (format_day(self.clock.today()), &mut self.rng, &mut self.nodes[from]);
        let old = rng.random_range(0..node.memory.names.len() + 4);
        if let Some(name) = node.memory.names.get(old).cloned() {
            if rng.random_bool(0.25) {
                let reasons = [EndReason::Deleted, EndReason::Ended, EndReason::Erased];
                let reason = reasons[rng.random_range(0..reasons.len())].into();
                if node.disk.save(&name, Content::End(End { reason, on: today })) {
                    node.memory.names.remove(old);
                }
            } else {
                let payload = cast::record(rng, &name);
                node.disk.save(&name, Content::Put { payload, sealed: None });
            }
        } else {
            self.saved += 1;
            let kind = if rng.random() { "agencies" } else { "workers" };
            let name = Name::of(node.code, kind, &self.saved.to_string());
            let payload = cast::record(rng, &name);
            if node.disk.save(&name, Content::Put { payload, sealed: None }) {
                node.memory.names.push(name);
            }
        }
        for stream in self.streams.iter_mut().filter(|stream| stream.from == from) {
            if self.rng.random() {
                stream.outbound.cues.push_back(Cue::Look);
            }
        }
    }

    /// A provider's heartbeat.
    pub fn beat(&mut self, stream: usize) {
        self.streams[stream].outbound.cues.extend([Cue::Refresh, Cue::Look, Cue::Input(provider::Input::Tick)]);
    }

    /// The way between two nodes breaks; what is on it arrives in part.
    fn cut(&mut self, stream: usize) {
        let stream = &mut self.streams[stream];
        stream.up.truncate(self.rng.random_range(0..=stream.up.len()));
        stream.down.truncate(self.rng.random_range(0..=stream.down.len()));
        stream.hang_up();
    }

    /// A node's process falls over: what lies on the disk stays, and another process begins.
    pub fn crash(&mut self, node: usize) -> Lawful {
        self.nodes[node].disk = self.nodes[node].disk.copy();
        for stream in 0..self.streams.len() {
            let (limits, at) = (self.limits, &mut self.streams[stream]);
            if at.from == node {
                at.up.clear();
                at.down.extend(at.outbound.caller.map(|call| (call, None)));
                at.outbound = Outbound::open(&at.accord, limits, &self.nodes[node]);
                at.outbound.cues.push_back(Cue::Look);
            }
            if at.to == node {
                at.down.clear();
                at.up.extend(at.inbound.take().map(|inbound| (inbound.call, None)));
                self.check_inbound(stream)?;
            }
        }
        Ok(())
    }

    fn back_up(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.backup = Some((node.disk.copy(), node.memory.clone()));
    }

    /// A node comes back from its backup; half of the operators say so at once.
    fn restore(&mut self, node: usize) -> Lawful {
        let at = &mut self.nodes[node];
        let Some((disk, memory)) = &at.backup else { return Ok(()) };
        // Whatever it had committed by now may have been told, and the word may still be on its way.
        for stream in self.streams.iter_mut().filter(|stream| stream.to == node) {
            let told = at.disk.inbound(&stream.accord.id).cursor;
            stream.excused = stream.excused.max((told.epoch, told.number));
        }
        (at.disk, at.memory) = (disk.copy(), memory.clone());
        if self.rng.random() {
            self.nodes[node].disk.declare_epoch();
        }
        self.crash(node)
    }

    /// Law 9: what the provider took a receipt for, the consumer holds.
    pub fn check_receipts(&self, stream: usize) -> Lawful {
        let Stream { accord, from, to, excused, .. } = &self.streams[stream];
        let row = self.nodes[*from].disk.outbound(&accord.id);
        if row.acked == 0 || (row.epoch, row.acked) <= *excused {
            return Ok(());
        }
        let held = self.nodes[*to].disk.recall(&accord.id, row.epoch, row.acked).map(|(digest, _)| digest);
        let made = self.nodes[*from].memory.made.get(&(stream, row.epoch, row.acked));
        must(held.is_some() && held.as_ref() == made, "applied-not-accepted", || {
            format!("{}: page {}.{} was acknowledged and is not there", accord.id, row.epoch, row.acked)
        })
    }

    /// Laws 1 and 4: what lies at the consumer is what its cursor says, of every home that sends to it.
    pub fn check_inbound(&self, stream: usize) -> Lawful {
        let to = self.streams[stream].to;
        let node = &self.nodes[to];
        let held = node.disk.after(0, &[], u32::MAX);
        let mut homes = BTreeSet::from([node.code]);
        for (number, Stream { accord, .. }) in self.streams.iter().enumerate().filter(|(_, other)| other.to == to) {
            let (oracle, row) =
                (node.memory.oracles.get(&number).cloned().unwrap_or_default(), node.disk.inbound(&accord.id));
            must((row.cursor.epoch, row.cursor.number) == (oracle.epoch, oracle.number), "cursor-with-data", || {
                format!("{:?}", row.cursor)
            })?;
            oracle.agrees(held.iter().filter(|entry| entry.name.home() == accord.provider))?;
            homes.insert(&accord.provider);
        }
        let stranger = held.iter().find(|entry| !homes.contains(entry.name.home()));
        must(stranger.is_none(), "one-writer", || format!("{stranger:?}"))?;
        self.check_receipts(stream)
    }
}

impl Outbound {
    fn open(accord: &Arc<Accord>, limits: Limits, node: &Node) -> Self {
        let row = node.disk.outbound(&accord.id);
        let signer: Arc<dyn Signer> = cast::key(node.code);
        let machine = Provider::new(accord.clone(), cast::key(&accord.consumer).public(), signer, limits, row);
        Self { machine, cues: VecDeque::new(), todo: VecDeque::new(), caller: None }
    }
}

impl Stream {
    /// Both sides learn, in time, that the call is over.
    pub fn hang_up(&mut self) {
        self.up.extend(self.inbound.as_ref().map(|inbound| (inbound.call, None)));
        self.down.extend(self.outbound.caller.map(|call| (call, None)));
        // A call that the provider has not heard of yet.
        self.down.extend(self.inbound.as_ref().map(|inbound| (inbound.call, None)));
    }
}

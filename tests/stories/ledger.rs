//! The ledger: one writer, no gaps, saving is publishing. Told on the ledger itself, without a node around it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use prost::Message as _;
use qianshou_kernel::{
    binds,
    db::Statement,
    error::Reason,
    id::Name,
    ledger::{
        Answer, CONTRACT_LEVEL, Command, Content, End, Ledger, Read, Rejection, Request, Stored, Version, Write,
        claim_key,
    },
};
use qianshou_proto::{common::v1::EndReason, registry::v1::Station};
use qianshou_tests::{
    Database, World,
    crowd::{Crowd, POISON, STALL, command, name, save},
    eventually, sample, stories,
};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command as Process,
    task::JoinHandle,
};

stories! {
    nobody_misses_an_entry
    the_newest_versions_reach_a_follower
    positions_are_dense_and_the_chain_can_be_recomputed
    a_refusal_leaves_its_neighbours_alone
    a_poisonous_command_is_found_by_halving
    a_repeated_request_gets_the_first_answer
    of_two_with_one_key_one_is_first
    one_command_does_not_bring_a_key_twice
    a_decision_holds_only_while_what_it_read_holds
    a_reader_may_wait_for_a_position
    what_has_ended_does_not_come_back
    what_was_received_never_goes_backwards
    nothing_is_deleted_from_under_a_reference
    a_house_moves_its_cursor_once
    an_older_program_reads_and_does_not_write
}

/// Law 3. Sixteen writers with stalls and refusals: in one process on SQLite, in two on PostgreSQL.
async fn nobody_misses_an_entry(world: World) {
    let (db, url) = world.database("ledger").await;
    let ledger = world.ledger_on(db).await;
    let reader = never_looks_back(ledger.clone());
    let committed = match world.database {
        Database::Sqlite => Crowd { writers: 16, commands: 60, number: 1 }.write(&ledger).await,
        Database::Postgres => {
            let (one, two) = tokio::join!(in_a_process(&url, 1), in_a_process(&url, 2));
            [one, two].concat()
        }
    };
    let head = ledger.head().await.unwrap().position;
    assert_eq!(head as usize, committed.len(), "every position is somebody's commit");
    let seen = eventually("the reader at the end", async || {
        (reader.borrow().len() >= committed.len()).then(|| reader.borrow().clone())
    })
    .await;
    let mut committed = committed;
    committed.sort();
    assert_eq!(seen, committed, "none missed, none twice, all in their places");
}

/// A crowd of eight in a process of its own.
async fn in_a_process(url: &str, number: u32) -> Vec<(u64, Name)> {
    let mut writer = Process::new(env!("CARGO_BIN_EXE_writer"))
        .args([url, &number.to_string(), "8", "60"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut committed = vec![];
    while let Some(line) = lines.next_line().await.unwrap() {
        let (position, name) = line.split_once(' ').unwrap();
        committed.push((position.parse().unwrap(), name.parse().unwrap()));
    }
    assert!(writer.wait().await.unwrap().success());
    committed
}

/// Reads on and on from where it is; what it has seen so far.
fn never_looks_back(ledger: Ledger) -> tokio::sync::watch::Receiver<Vec<(u64, Name)>> {
    let (seen, reader) = tokio::sync::watch::channel(vec![]);
    tokio::spawn(async move {
        let mut position = 0;
        while !seen.is_closed() {
            for entry in ledger.history(position, 50).await.unwrap() {
                position = entry.position;
                seen.send_modify(|seen| seen.push((entry.position, entry.name)));
            }
            tokio::task::yield_now().await;
        }
    });
    reader
}

/// A follower gets each record once at its newest version; read on while others write, it ends with exactly what stands.
async fn the_newest_versions_reach_a_follower(world: World) {
    let ledger = world.ledger().await;
    let writing: JoinHandle<()> = tokio::spawn({
        let ledger = ledger.clone();
        async move {
            for round in 0..30 {
                let writes = (0..10).map(|n| save(&name(n), n + round * 100)).collect();
                ledger.submit(command(writes)).await.unwrap();
            }
        }
    });
    let (mut position, mut held) = (0, BTreeMap::new());
    let mut over = false;
    loop {
        let entries = ledger.after(position, &["agencies"], 7).await.unwrap();
        if entries.is_empty() && over {
            break;
        }
        over = writing.is_finished();
        for entry in entries {
            assert!(entry.position > position);
            position = entry.position;
            held.insert(entry.name.clone(), entry.version);
        }
    }
    let newest = Version { epoch: 1, revision: 30 };
    assert_eq!(held, (0..10).map(|n| (name(n), newest)).collect());
}

/// Law 3 again, and what an auditor does: position by position, version by version, digest by digest.
async fn positions_are_dense_and_the_chain_can_be_recomputed(world: World) {
    let ledger = world.ledger().await;
    Crowd { writers: 4, commands: 20, number: 1 }.write(&ledger).await;
    let (first, other) = (name(800), Name::of("35", "agencies", "elsewhere"));
    ledger.submit(command(vec![save(&first, 800)])).await.unwrap();
    ledger.submit(command(vec![save(&first, 801), received(&other, 3, 900)])).await.unwrap();
    ledger.submit(command(vec![end(&first)])).await.unwrap();

    let history = ledger.history(0, 10_000).await.unwrap();
    let salts = ledger.db().fetch("SELECT position, salt FROM entries", vec![]).await.unwrap();
    let salts: BTreeMap<u64, Vec<u8>> =
        salts.iter().map(|row| (row.count(0).unwrap(), row.bytes(1).unwrap())).collect();
    assert_eq!(salts.values().collect::<BTreeSet<_>>().len(), history.len(), "no salt twice");
    let mut digest = [0_u8; 32];
    let mut newest = BTreeMap::new();
    for (entry, position) in history.iter().zip(1..) {
        assert_eq!(entry.position, position);
        assert_eq!(entry.previous, newest.insert(entry.name.clone(), position), "an entry names the one it follows");
        digest = recomputed(digest, entry, &salts[&position]);
        assert_eq!(entry.digest, digest, "at {position}");
    }
    let head = ledger.head().await.unwrap();
    assert_eq!((head.position, head.digest), (history.len() as u64, digest.to_vec()));
}

/// The chain as it is written down: every part framed by its length in eight bytes, big-endian; the content by a salted digest.
fn recomputed(before: [u8; 32], entry: &Stored, salt: &[u8]) -> [u8; 32] {
    let Version { epoch, revision } = entry.version;
    let mut content: Vec<Vec<u8>> = match &entry.content {
        Content::Put { payload, sealed } => {
            vec![b"put".to_vec(), payload.to_vec(), sealed.clone().unwrap_or_default().to_vec()]
        }
        Content::End(end) => vec![b"end".to_vec(), end.reason.to_be_bytes().to_vec(), end.on.clone().into_bytes()],
    };
    content.insert(0, salt.to_vec());
    let framed = |parts: &[Vec<u8>]| -> Vec<u8> {
        parts.iter().flat_map(|part| [&(part.len() as u64).to_be_bytes()[..], part].concat()).collect()
    };
    let number = |number: u64| number.to_be_bytes().to_vec();
    let link = framed(&[
        number(entry.position),
        entry.name.to_string().into_bytes(),
        number(epoch),
        number(revision),
        number(entry.previous.unwrap_or(0)),
        entry.actor.clone().into_bytes(),
        entry.written_at_ms.to_be_bytes().to_vec(),
        Sha256::digest(framed(&content)).to_vec(),
    ]);
    Sha256::digest([&before[..], &link].concat()).into()
}

/// One command's refusal never fails its neighbour in the group.
async fn a_refusal_leaves_its_neighbours_alone(world: World) {
    let ledger = world.ledger().await;
    ledger.submit(command(vec![save(&name(0), 0)])).await.unwrap();
    let commands = (1..=90).map(|n| match n % 3 {
        0 => command(vec![save(&name(n), 0)]),
        1 => Command { reads: vec![Read::Version(name(0), None)], ..command(vec![save(&name(n), n)]) },
        _ => command(vec![save(&name(n), n)]),
    });
    let answers = ledger.submit_all(commands.collect()).await;
    for (n, answer) in (1..=90).zip(&answers) {
        match (n % 3, answer) {
            (0, Err(Rejection::Taken { field: "uscc", holder })) => assert_eq!(holder, &name(0)),
            (1, Err(Rejection::Changed(Read::Version(_, Some(Version { epoch: 1, revision: 1 }))))) => {}
            (2, Ok(done)) => assert_eq!(done.written.len(), 1),
            other => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!(ledger.head().await.unwrap().position, 31);
}

/// If the database itself refuses a group, the group is halved until the command at fault stands alone.
async fn a_poisonous_command_is_found_by_halving(world: World) {
    let ledger = world.ledger().await;
    let poisoned = |n: u32| [17, 18, 63].contains(&n);
    let commands = (0..64).map(|n| {
        let statements = if poisoned(n) { vec![Statement::new(POISON, vec![])] } else { vec![] };
        Command { statements, ..command(vec![save(&name(n), n)]) }
    });
    let answers = ledger.submit_all(commands.collect()).await;
    for (n, answer) in (0..64).zip(answers) {
        assert_eq!(answer.is_err(), poisoned(n), "{n}: {answer:?}");
    }
    let names: BTreeSet<Name> = ledger.history(0, 100).await.unwrap().into_iter().map(|e| e.name).collect();
    assert_eq!(names, (0..64).filter(|n| !poisoned(*n)).map(name).collect());
    assert_eq!(ledger.head().await.unwrap().position, 61);
}

/// `request_id`: the first answer again for the same body, a refusal for another; in one group and later.
async fn a_repeated_request_gets_the_first_answer(world: World) {
    let ledger = world.ledger().await;
    let asked = |id: &str, n: u32, body: u8| Command {
        request: Some(Request { id: id.into(), digest: [body; 32] }),
        ..command(vec![save(&name(n), n), save(&name(n + 1), n + 1)])
    };
    let answers = ledger.submit_all(vec![asked("a", 0, 1), asked("a", 0, 1), asked("a", 0, 2), asked("b", 2, 1)]).await;
    let [Ok(first), Ok(again), Err(Rejection::RequestReused), Ok(other)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(
        (first.repeated, again.repeated, &first.written, first.position),
        (false, true, &again.written, again.position)
    );
    assert_eq!((other.repeated, other.position), (false, 4));

    let later = ledger.submit(asked("a", 0, 1)).await.unwrap();
    assert_eq!((later.repeated, later.written, later.position), (true, first.written.clone(), 2));
    assert_eq!(ledger.submit(asked("a", 0, 3)).await, Err(Rejection::RequestReused));
    let known = ledger.answered(&Request { id: "b".into(), digest: [1; 32] }).await.unwrap().unwrap().unwrap();
    assert_eq!(known.written, other.written);
    assert_eq!(ledger.head().await.unwrap().position, 4);
}

/// Two processes create the same at the same moment: exactly one does.
async fn of_two_with_one_key_one_is_first(world: World) {
    let (one, two) = two_processes(&world).await;
    for n in 0..20 {
        let key = claim_key("64", "agencies", "uscc", &sample::uscc(n));
        let create = |id: &str| {
            let name = Name::of("64", "agencies", &format!("{id}-{n}"));
            Command { reads: vec![Read::Claim(key.clone(), None)], ..command(vec![save(&name, n)]) }
        };
        let (left, right) = tokio::join!(one.submit(create("left")), two.submit(create("right")));
        let winner = the_one_that_won(left, right);
        assert_eq!(one.claimed(std::slice::from_ref(&key)).await.unwrap().get(&key), Some(&winner));
    }
    assert_eq!(one.head().await.unwrap().position, 20);
}

/// A key belongs to one record, also within one command.
async fn one_command_does_not_bring_a_key_twice(world: World) {
    let ledger = world.ledger().await;
    let answer = ledger.submit(command(vec![save(&name(1), 1), save(&name(2), 1)])).await;
    assert_eq!(answer, Err(Rejection::Taken { field: "uscc", holder: name(1) }));
    assert_eq!(ledger.head().await.unwrap().position, 0);
}

/// Two ledgers with their own writers and connections on one database, as two processes have them.
async fn two_processes(world: &World) -> (Ledger, Ledger) {
    let (db, url) = world.database("ledger").await;
    (world.ledger_on(db).await, world.ledger_on(qianshou_tests::world::open(&url).await).await)
}

fn the_one_that_won(left: Answer, right: Answer) -> Name {
    match (left, right) {
        (Ok(done), Err(Rejection::Changed(Read::Claim(_, Some(holder)))))
        | (Err(Rejection::Changed(Read::Claim(_, Some(holder)))), Ok(done)) => {
            assert_eq!(done.written[0].0, holder, "who lost is told who won");
            holder
        }
        both => panic!("exactly one wins: {both:?}"),
    }
}

/// A command declares what it read; if that is no longer so, it is refused and told how it is now.
async fn a_decision_holds_only_while_what_it_read_holds(world: World) {
    let ledger = world.ledger().await;
    let (standing, gone) = (name(1), name(2));
    ledger
        .submit_all(vec![command(vec![save(&standing, 1)]), command(vec![save(&gone, 2)]), command(vec![end(&gone)])])
        .await;
    let first = Version { epoch: 1, revision: 1 };
    let key = claim_key("64", "agencies", "uscc", &sample::uscc(1));
    let free = claim_key("64", "agencies", "uscc", &sample::uscc(2));

    let holding = [
        Read::Version(standing.clone(), Some(first)),
        Read::Version(gone.clone(), None),
        Read::Version(name(3), None),
        Read::Live(standing.clone()),
        Read::Claim(key.clone(), Some(standing.clone())),
        Read::Claim(free.clone(), None),
        Read::Unlinked(standing.clone()),
    ];
    let all = Command { reads: holding.to_vec(), ..command(vec![save(&name(4), 4)]) };
    ledger.submit(all).await.unwrap();

    let broken = [
        (Read::Version(standing.clone(), None), Read::Version(standing.clone(), Some(first))),
        (
            Read::Version(standing.clone(), Some(Version { revision: 9, ..first })),
            Read::Version(standing.clone(), Some(first)),
        ),
        (Read::Version(gone.clone(), Some(first)), Read::Version(gone.clone(), None)),
        (Read::Live(gone.clone()), Read::Live(gone.clone())),
        (Read::Live(name(3)), Read::Live(name(3))),
        (Read::Claim(key.clone(), None), Read::Claim(key, Some(standing.clone()))),
        (Read::Claim(free.clone(), Some(gone)), Read::Claim(free, None)),
    ];
    let before = ledger.head().await.unwrap();
    for (read, now) in broken {
        let asked = Command { reads: vec![read], ..command(vec![save(&name(5), 5)]) };
        assert_eq!(ledger.submit(asked).await, Err(Rejection::Changed(now)));
    }
    assert_eq!(ledger.head().await.unwrap(), before);

    // Within one group too: the first of two changes the version that the second one read.
    let change = |n: u32| Command {
        reads: vec![Read::Version(standing.clone(), Some(first))],
        ..command(vec![save(&standing, n)])
    };
    let answers = ledger.submit_all(vec![change(6), change(7)]).await;
    let second = Version { revision: 2, ..first };
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(Rejection::Changed(Read::Version(standing, Some(second)))));
}

/// A read may ask to be at least at a position, for a bounded time; what another process wrote counts too.
async fn a_reader_may_wait_for_a_position(world: World) {
    let (one, two) = two_processes(&world).await;
    let soon = one.at_least(0, Duration::ZERO).await;
    assert!(soon.is_ok(), "{soon:?}");
    let late = one.at_least(1, Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(late.reason(), Reason::NotYet);
    let writer = if world.database == Database::Postgres { &two } else { &one };
    let (waited, written) = tokio::join!(one.at_least(2, Duration::from_secs(20)), async {
        writer.submit(command(vec![save(&name(1), 1)])).await.unwrap();
        writer.submit(command(vec![save(&name(2), 2)])).await
    });
    assert!(waited.is_ok() && written.is_ok());
    assert_eq!(one.history(0, 10).await.unwrap().len(), 2);
}

/// An own record that has ended is over: it is neither changed nor ended again, and its key is free for another.
async fn what_has_ended_does_not_come_back(world: World) {
    let ledger = world.ledger().await;
    let record = name(1);
    ledger.submit(command(vec![save(&record, 1)])).await.unwrap();
    let ended = ledger.submit(command(vec![end(&record)])).await.unwrap();
    assert_eq!(ended.written[0].1, Version { epoch: 1, revision: 2 });
    for write in [save(&record, 1), end(&record)] {
        assert_eq!(ledger.submit(command(vec![write])).await, Err(Rejection::Ended(record.clone())));
    }
    let never = name(7);
    assert_eq!(ledger.submit(command(vec![end(&never)])).await, Err(Rejection::Ended(never)));
    assert_eq!(ledger.find_one(&record).await.unwrap().unwrap().payload(), None);
    ledger.submit(command(vec![save(&name(2), 1)])).await.unwrap();

    let foreign = Name::of("35", "agencies", "foreign");
    assert_eq!(ledger.submit(command(vec![save(&foreign, 9)])).await, Err(Rejection::NotHome(foreign)));
}

/// Received entries may come twice, late and in any order: the result is the newest, and an end stays an end.
async fn what_was_received_never_goes_backwards(world: World) {
    let ledger = world.ledger().await;
    let record = Name::of("35", "agencies", "x");
    let gone = Write::Received(record.clone(), Version { epoch: 1, revision: 5 }, Content::End(deleted()));
    let arrivals = [
        received(&record, 3, 3),
        received(&record, 3, 3),
        received(&record, 2, 2),
        gone.clone(),
        received(&record, 4, 4),
        gone,
    ];
    for (arrival, new) in arrivals.into_iter().zip([true, false, false, true, false, false]) {
        let done = ledger.submit(command(vec![arrival])).await.unwrap();
        assert_eq!(done.written.len(), usize::from(new), "{done:?}");
    }
    assert_eq!(ledger.find_one(&record).await.unwrap().unwrap().content, Content::End(deleted()));
    assert_eq!(ledger.head().await.unwrap().position, 2);
    let reborn = Write::Received(record.clone(), Version { epoch: 2, revision: 1 }, put(6));
    assert_eq!(
        ledger.submit(command(vec![reborn])).await.unwrap().written.len(),
        1,
        "a new epoch stands above every revision of the old"
    );
}

/// One deletes an agency while another lets a station refer to it: one of the two is refused, and no reference dangles.
async fn nothing_is_deleted_from_under_a_reference(world: World) {
    let (one, two) = two_processes(&world).await;
    let mut deleted_first = 0;
    for n in 0..20 {
        let agency = name(n);
        one.submit(command(vec![save(&agency, n)])).await.unwrap();
        let station = Station { operator: Some(agency.to_string()), ..sample::station(n) };
        let refer = Command {
            reads: vec![Read::Live(agency.clone())],
            ..command(vec![Write::Own(
                Name::of("64", "stations", &n.to_string()),
                Content::Put { payload: station.encode_to_vec().into(), sealed: None },
            )])
        };
        let delete = Command { reads: vec![Read::Unlinked(agency.clone())], ..command(vec![end(&agency)]) };
        let (referred, ended) = tokio::join!(one.submit(refer), two.submit(delete));
        match (referred, ended) {
            (Ok(_), Err(Rejection::Changed(Read::Unlinked(_)))) => {}
            (Err(Rejection::Changed(Read::Live(_))), Ok(_)) => deleted_first += 1,
            both => panic!("exactly one is refused: {both:?}"),
        }
        let standing = one.find_one(&agency).await.unwrap().unwrap().payload().is_some();
        assert_eq!(one.referring(&[agency.to_string()]).await.unwrap().is_empty(), !standing);
    }
    // In one command the reference may go together with what it refers to.
    if deleted_first < 20 {
        let kept = one.history(0, 1_000).await.unwrap().into_iter().find(|e| e.name.kind() == "stations").unwrap().name;
        let agency = name(kept.id().parse().unwrap());
        let both = Command { reads: vec![Read::Unlinked(agency.clone())], ..command(vec![end(&kept), end(&agency)]) };
        one.submit(both).await.unwrap();
    }
}

/// Law 4: the cursor is in the commit of what it stands for; of two processes that follow as one, one moves it.
async fn a_house_moves_its_cursor_once(world: World) {
    let (one, two) = two_processes(&world).await;
    let step = |n: u32, from: u64, to: u64| Command {
        statements: vec![Ledger::move_cursor("house", from, to)],
        ..command(vec![save(&name(n), n)])
    };
    let (left, right) = tokio::join!(one.submit(step(1, 0, 10)), two.submit(step(2, 0, 10)));
    let refused = [&left, &right].into_iter().filter(|a| **a == Err(Rejection::Guard(0))).count();
    assert_eq!((refused, one.cursor("house").await.unwrap(), one.head().await.unwrap().position), (1, 10, 1));
    assert_eq!(one.submit(step(3, 9, 11)).await, Err(Rejection::Guard(0)));
    one.submit(step(3, 10, 11)).await.unwrap();
    assert_eq!(two.cursor("house").await.unwrap(), 11);
    // A command that stalls in the middle of its commit holds the others up, and harms nobody.
    let stalled = Command { statements: vec![Statement::new(STALL, vec![])], ..command(vec![save(&name(4), 4)]) };
    let (stalled, other) = tokio::join!(one.submit(stalled), two.submit(command(vec![save(&name(5), 5)])));
    assert!(stalled.is_ok() && other.is_ok());
}

/// The database was upgraded under this program: it still reads, and refuses to write.
async fn an_older_program_reads_and_does_not_write(world: World) {
    let ledger = world.ledger().await;
    ledger.submit(command(vec![save(&name(1), 1)])).await.unwrap();
    ledger.db().run(&[Statement::new("UPDATE head SET contract = $1", binds![CONTRACT_LEVEL + 1])]).await.unwrap();
    assert_eq!(
        ledger.submit(command(vec![save(&name(2), 2)])).await,
        Err(Rejection::ContractLevel(CONTRACT_LEVEL + 1))
    );
    assert!(ledger.find_one(&name(1)).await.unwrap().is_some());
}

fn put(n: u32) -> Content {
    Content::Put { payload: sample::agency(n).encode_to_vec().into(), sealed: None }
}

fn received(name: &Name, revision: u64, n: u32) -> Write {
    Write::Received(name.clone(), Version { epoch: 1, revision }, put(n))
}

fn end(name: &Name) -> Write {
    Write::Own(name.clone(), Content::End(deleted()))
}

fn deleted() -> End {
    End { reason: EndReason::Deleted.into(), on: "2024-06-01".into() }
}

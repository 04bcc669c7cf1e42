//! What can be seen in the node's folder: room, speed, keys, certificates, card.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

use super::{Seen, fail, ok, shown, text, warn, worst};
use crate::certificates::{own, wrong};
use qianshou_kernel::{
    clock::{Clock, day_of, format_day},
    config::Loaded,
    db::sqlite_file,
    error::Result,
    files::open_to_others,
    identity::{self, NodeKeys, check_card, valid_until_ms},
};

const FREE_LEAST_BYTES: u64 = 1 << 30;
const FREE_FEW_BYTES: u64 = 10 << 30;
const SYNC_SLOW_MS: u128 = 20;
const SYNCS: usize = 9;
/// How long before its end a certificate is told of.
pub(super) const SOON_DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

/// Only its owner enters the folder, for configuration and database hold what nobody else should read.
pub(super) fn folder(loaded: &Loaded) -> Seen {
    let folder = &loaded.directory;
    let open = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
    let database = sqlite_file(&loaded.config.database.url, folder);
    let looked_at = [Some(folder.clone()), Some(folder.join("node.toml")), database];
    match looked_at.into_iter().flatten().find(|path| open(path)) {
        Some(path) => warn(format!("{} can be read by others", shown(&path)), format!("chmod go= {}", shown(&path))),
        None => ok(shown(folder)),
    }
}

/// Room for what comes, where the folder is and where the database's file is, and a disk that answers.
pub(super) fn disk(loaded: &Loaded) -> Seen {
    let beside = sqlite_file(&loaded.config.database.url, &loaded.directory);
    let beside = beside.as_deref().and_then(Path::parent).unwrap_or(&loaded.directory);
    let free = |folder: &Path| {
        let room = rustix::fs::statvfs(folder).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        room.map(|bytes| (bytes, shown(folder))).map_err(|cause| format!("{}: {cause}", shown(folder)))
    };
    let (free, folder) = match free(&loaded.directory).and_then(|one| Ok(one.min(free(beside)?))) {
        Ok(least) => least,
        Err(told) => return fail(told, format!("df {}", shown(&loaded.directory))),
    };
    let note = |ms: u128| format!("{} free, sync {ms} ms", size(free));
    match sync_ms(loaded) {
        Err(cause) => fail(format!("{} free: {}", size(free), text(&cause)), format!("df {folder}; ls -ld {folder}")),
        Ok(ms) if free < FREE_LEAST_BYTES => fail(note(ms), format!("df {folder}; free at least 10 GiB")),
        Ok(ms) if free < FREE_FEW_BYTES => warn(note(ms), format!("df {folder}; free at least 10 GiB")),
        Ok(ms) if ms > SYNC_SLOW_MS => warn(note(ms), format!("move {folder} to a faster disk")),
        Ok(ms) => ok(note(ms)),
    }
}

fn size(bytes: u64) -> String {
    if bytes < 1 << 30 { format!("{} MiB", bytes >> 20) } else { format!("{} GiB", bytes >> 30) }
}

/// How long the disk takes to keep one block: the median of a few.
fn sync_ms(loaded: &Loaded) -> Result<u128> {
    let path = loaded.directory.join(format!("doctor.{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    let mut took = (0..SYNCS).map(|_| {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        Ok(begun.elapsed().as_millis())
    });
    let took: Result<Vec<u128>> = took.by_ref().collect();
    drop(file);
    fs::remove_file(&path)?;
    let mut took = took?;
    took.sort_unstable();
    Ok(took[SYNCS / 2])
}

/// The keys can be read, by their owner only, and are this node's.
pub(super) fn keys(loaded: &Loaded, keys: &Result<NodeKeys>) -> Seen {
    let directory = loaded.keys_directory();
    let keys = match keys {
        Ok(keys) => keys,
        Err(error) => return fail(text(error), format!("restore {} from its copy", shown(&directory))),
    };
    if keys.node != loaded.config.node.code {
        let note = format!("the keys are those of node {}, node.code is {}", keys.node, loaded.config.node.code);
        return fail(note, format!("set node.code = \"{}\"", keys.node));
    }
    let seal = loaded.seal_directory().join(identity::SEAL);
    match open_to_others(&directory).or_else(|| open_to_others(&seal)) {
        Some(path) => fail(
            format!("{} can be read by others", shown(&path)),
            format!("chmod -R go= {} {}", shown(&directory), shown(&seal)),
        ),
        None => ok(format!("{}, {} pseudonym domains", keys.key_id, keys.domains.len())),
    }
}

/// No certificate of ours ends soon.
pub(super) fn certificates(keys: &NodeKeys, clock: &Clock, config: &str) -> Seen {
    let ours = own(keys);
    let mend = format!("qianshou key renew --config {config}, then start the node again");
    let seen: Vec<Seen> = ours.iter().map(|(name, der)| certificate(name, der, clock.now_ms(), &mend)).collect();
    let ends = ours.iter().filter_map(|(name, der)| Some(format!("{name} {}", day(valid_until_ms(der)?))));
    worst(seen, ends.collect::<Vec<_>>().join(", "))
}

/// One certificate's end.
pub(super) fn certificate(name: &str, der: &[u8], now_ms: i64, mend: &str) -> Seen {
    if let Some((_, wrong)) = wrong(der, now_ms) {
        return fail(format!("{name} {wrong}"), mend);
    }
    match valid_until_ms(der) {
        None => fail(format!("{name} cannot be read"), mend),
        Some(end) if end <= now_ms + SOON_DAYS * DAY_MS => warn(format!("{name} ends on {}", day(end)), mend),
        Some(end) => ok(format!("{name} {}", day(end))),
    }
}

fn day(ms: i64) -> String {
    format_day(day_of(ms))
}

/// The card that this node would show proves itself, and says an address that others can reach.
pub(super) fn card(keys: &NodeKeys, loaded: &Loaded) -> Seen {
    let address = &loaded.config.peers.address;
    if let Err(refusal) = check_card(&identity::card(keys, &loaded.config.node.name, address)) {
        return fail(refusal.to_string(), "correct node.name, peers.address, or keys/peer.pem");
    }
    if address.is_empty() && loaded.config.peers.listen.ip().is_unspecified() {
        let note = format!("peers.listen is {} and peers.address is empty", loaded.config.peers.listen);
        return warn(note, "set peers.address = \"https://HOST:PORT\" as peers reach it, and hand out the card again");
    }
    ok(identity::fingerprint(keys.peer.leaf()))
}

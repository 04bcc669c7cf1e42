//! The hash tree of a page. The signed header carries its root, so an entry can be proved to be of the page by
//! itself, and content can be purged later without breaking the signature. It knows hashes and frames, nothing of
//! pages or streams.
//!
//! Source: RFC 6962, section 2.1, with a leaf content of our own. Leaves and nodes are hashed with different first
//! bytes, so neither can pose as the other.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub type Hash = [u8; 32];

const LEAF: u8 = 0x00;
const NODE: u8 = 0x01;
const PUT: u8 = 0x01;
const END: u8 = 0x02;

/// All that is said of an entry. The salt keeps a hash from giving away a content that can be guessed.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'a> {
    pub salt: &'a [u8],
    pub name: &'a str,
    pub kind: &'a str,
    pub home: &'a str,
    pub epoch: u64,
    pub revision: u64,
    pub content: Content<'a>,
}

/// A whole new version, or the end of the record.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// The payload as it is sent: masked, and never encoded again.
    Put(&'a [u8]),
    /// The number of the reason, and the ISO 8601 date of the end.
    End { reason: u32, on: &'a str },
}

/// SHA-256(0x00 ‖ salt ‖ name ‖ kind ‖ home ‖ epoch ‖ revision ‖ content). Every part is framed by its length in four
/// bytes, numbers are eight bytes, all big-endian. Content is 0x01 ‖ payload, or 0x02 ‖ reason in four bytes ‖ date.
///
/// # Panics
/// If a part is 4 GiB or more; the limits of an entry are far below.
#[must_use]
pub fn leaf_hash(leaf: &Leaf<'_>) -> Hash {
    let reason;
    let content: [&[u8]; 3] = match leaf.content {
        Content::Put(payload) => [&[PUT], payload, &[]],
        Content::End { reason: number, on } => {
            reason = number.to_be_bytes();
            [&[END], &reason, on.as_bytes()]
        }
    };
    let mut hash = Sha256::new_with_prefix([LEAF]);
    frame(&mut hash, &[leaf.salt]);
    frame(&mut hash, &[leaf.name.as_bytes()]);
    frame(&mut hash, &[leaf.kind.as_bytes()]);
    frame(&mut hash, &[leaf.home.as_bytes()]);
    frame(&mut hash, &[&leaf.epoch.to_be_bytes()]);
    frame(&mut hash, &[&leaf.revision.to_be_bytes()]);
    frame(&mut hash, &content);
    hash.finalize().into()
}

/// The root over leaf hashes in their order; of none it is SHA-256 of nothing.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// The hashes that lead from a leaf to the root, the lowest first. Empty for an index beyond the leaves, which proves
/// nothing.
#[must_use]
pub fn proof(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() < 2 || index >= leaves.len() {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (proof(left, index), root(right))
    } else {
        (proof(right, index - left.len()), root(left))
    };
    path.push(sibling);
    path
}

/// Whether `leaf` is number `index` of the `count` leaves under `root`.
#[must_use]
pub fn verify(root: &Hash, leaf: &Hash, index: usize, count: usize, proof: &[Hash]) -> bool {
    index < count && climb(leaf, index, count, proof).as_ref() == Some(root)
}

fn climb(leaf: &Hash, index: usize, count: usize, proof: &[Hash]) -> Option<Hash> {
    if count == 1 {
        return proof.is_empty().then_some(*leaf);
    }
    let (sibling, below) = proof.split_last()?;
    let left = split(count);
    Some(if index < left {
        node(&climb(leaf, index, left, below)?, sibling)
    } else {
        node(sibling, &climb(leaf, index - left, count - left, below)?)
    })
}

/// How many of two or more leaves hang left: the largest power of two that is smaller than their count.
fn split(count: usize) -> usize {
    1 << (count - 1).ilog2()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([NODE]).chain_update(left).chain_update(right).finalize().into()
}

fn frame(hash: &mut Sha256, part: &[&[u8]]) {
    let length: usize = part.iter().map(|bytes| bytes.len()).sum();
    hash.update(u32::try_from(length).expect("a part is smaller than 4 GiB").to_be_bytes());
    for bytes in part {
        hash.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hashes(count: usize) -> Vec<Hash> {
        (0..count as u64).map(|number| Sha256::digest(number.to_be_bytes()).into()).collect()
    }

    fn put<'a>(name: &'a str, payload: &'a [u8]) -> Leaf<'a> {
        let content = Content::Put(payload);
        Leaf { salt: b"salt", name, kind: "agency", home: "64", epoch: 1, revision: 2, content }
    }

    /// Level by level with an odd hash carried up, which gives the same tree by another way.
    fn naive_root(leaves: &[Hash]) -> Hash {
        let mut level = leaves.to_vec();
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => Sha256::digest([&[1][..], left, right].concat()).into(),
                    odd => odd[0],
                })
                .collect();
        }
        level[0]
    }

    /// The test vectors of Google's reference implementation of Certificate Transparency.
    #[test]
    fn roots_are_those_of_rfc_6962() {
        let inputs: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let leaves: Vec<Hash> =
            inputs.iter().map(|input| Sha256::new_with_prefix([LEAF]).chain_update(input).finalize().into()).collect();
        for (count, expected) in roots.iter().enumerate() {
            assert_eq!(hex::encode(root(&leaves[..count])), *expected, "{count} leaves");
        }
    }

    /// Made with Python's `hashlib`.
    #[test]
    fn leaf_hashes_never_change() {
        let put = put("nodes/64/agencies/1", b"payload");
        assert_eq!(hex::encode(leaf_hash(&put)), "06f272f0e6d3492bc355bc2e80131715d5eaccf661c23aa76f9b70b3f50305ce");
        let end = Leaf { content: Content::End { reason: 3, on: "2025-10-15" }, ..put };
        assert_eq!(hex::encode(leaf_hash(&end)), "a7f7ae22a9f19b30db6eaf1dd18543a95f31da4a405c8329982092a6e392e444");
    }

    #[test]
    fn parts_never_run_together() {
        let one = put("ab", b"c");
        let others = [
            put("a", b"bc"),
            Leaf { kind: "agenc", home: "y64", ..one },
            Leaf { epoch: 2, revision: 1, ..one },
            Leaf { salt: b"", ..one },
            Leaf { content: Content::End { reason: 0, on: "c" }, ..one },
        ];
        for other in others {
            assert_ne!(leaf_hash(&one), leaf_hash(&other), "{other:?}");
        }
        let end = Leaf { content: Content::End { reason: 1, on: "x" }, ..one };
        assert_ne!(leaf_hash(&end), leaf_hash(&put("ab", b"\x00\x00\x00\x01x")));
    }

    #[test]
    fn a_proof_holds_for_its_leaf_only() {
        let leaves = hashes(5);
        let root = root(&leaves);
        assert!(verify(&root, &leaves[4], 4, 5, &proof(&leaves, 4)));
        assert!(!verify(&root, &leaves[3], 4, 5, &proof(&leaves, 4)));
        assert!(!verify(&root, &leaves[4], 4, 6, &proof(&leaves, 4)));
        assert!(!verify(&root, &leaves[4], 5, 5, &proof(&leaves, 5)));
        assert!(!verify(&root, &root, 0, 0, &[]));
        assert!(!verify(&root, &root, 0, usize::MAX, &[]));
        assert!(verify(&root, &root, 0, 1, &[]));
    }

    proptest! {
        #[test]
        fn every_leaf_is_proved(count in 1_usize..200, index: prop::sample::Index, other: prop::sample::Index) {
            let leaves = hashes(count);
            let (index, other) = (index.index(count), other.index(count));
            let top = root(&leaves);
            prop_assert_eq!(top, naive_root(&leaves));
            let path = proof(&leaves, index);
            prop_assert!(path.len() <= count.next_power_of_two().ilog2() as usize);
            prop_assert!(verify(&top, &leaves[index], index, count, &path));
            if other != index {
                prop_assert!(!verify(&top, &leaves[other], index, count, &path));
                prop_assert!(!verify(&top, &leaves[index], other, count, &path));
            }
        }

        #[test]
        fn a_changed_proof_fails(
            count in 2_usize..64,
            index: prop::sample::Index,
            at: prop::sample::Index,
            flip in 1_u8..,
        ) {
            let leaves = hashes(count);
            let index = index.index(count);
            let top = root(&leaves);
            let path = proof(&leaves, index);
            let mut changed = path.clone();
            let at = at.index(path.len());
            changed[at][at % 32] ^= flip;
            prop_assert!(!verify(&top, &leaves[index], index, count, &changed));
            prop_assert!(!verify(&top, &leaves[index], index, count, &path[1..]));
            prop_assert!(!verify(&top, &leaves[index], index, count, &[path, vec![top]].concat()));
        }
    }
}

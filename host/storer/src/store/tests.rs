use super::*;
use crate::testing::TempDir;

fn chunk(n: u32) -> VerifiedChunk {
    let payload: Vec<u8> = n.to_le_bytes().repeat(1 + (n as usize * 7) % 1024);
    VerifiedChunk::content((payload.len() as u64).to_le_bytes(), &payload).unwrap()
}

fn check_store(store: &dyn ChunkStore) {
    assert!(store.is_empty());
    for n in 0..100 {
        store.put(chunk(n)).unwrap();
        store.put(chunk(n)).unwrap();
    }
    assert_eq!(store.len(), 100);
    for n in 0..100 {
        let stored = store.get(&chunk(n).address()).unwrap().unwrap();
        assert_eq!(stored, chunk(n).data());
    }
    assert!(store.get(&chunk(100).address()).unwrap().is_none());
}

#[test]
fn both_stores_give_back_what_was_put() {
    check_store(&MemoryStore::new(1 << 20));
    let dir = TempDir::new("store-both");
    check_store(&DiskStore::open(dir.path(), 1 << 20, WhenFull::Refuse).unwrap());
}

#[test]
fn a_full_store_refuses() {
    let dir = TempDir::new("store-full");
    let disk = DiskStore::open(dir.path(), 50_000, WhenFull::Refuse).unwrap();
    let memory = MemoryStore::new(50_000);
    for store in [&disk as &dyn ChunkStore, &memory] {
        let full = (0..100).find(|n| store.put(chunk(*n)).is_err()).unwrap();
        assert!(full > 5);
        assert!(store.get(&chunk(0).address()).unwrap().is_some());
        assert!(store.get(&chunk(full).address()).unwrap().is_none());
    }
}

#[test]
fn a_full_cache_forgets_the_oldest_segment() {
    let dir = TempDir::new("store-cache");
    let disk = DiskStore::open(dir.path(), 50_000, WhenFull::DropOldest).unwrap();
    for n in 0..200 {
        disk.put(chunk(n)).unwrap();
        assert!(disk.get(&chunk(n).address()).unwrap().is_some());
    }
    assert!(disk.get(&chunk(0).address()).unwrap().is_none());
    let used: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().metadata().unwrap().len())
        .sum();
    assert!(used <= 50_000, "{used}");
}

#[test]
fn a_store_is_there_again_after_reopening_even_with_a_torn_end() {
    let dir = TempDir::new("store-reopen");
    let open = || DiskStore::open(dir.path(), 1 << 20, WhenFull::Refuse).unwrap();
    {
        let store = open();
        for n in 0..20 {
            store.put(chunk(n)).unwrap();
        }
    }
    let path = dir.path().join("00000000.seg");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let store = open();
    assert_eq!(store.len(), 19);
    store.put(chunk(19)).unwrap();
    drop(store);
    let store = open();
    for n in 0..20 {
        assert_eq!(
            store.get(&chunk(n).address()).unwrap().unwrap(),
            chunk(n).data()
        );
    }
}

#[test]
fn bytes_that_changed_on_disk_are_an_error_not_a_chunk() {
    let dir = TempDir::new("store-damage");
    let store = DiskStore::open(dir.path(), 1 << 20, WhenFull::Refuse).unwrap();
    store.put(chunk(3)).unwrap();
    let path = dir.path().join("00000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(
        store.get(&chunk(3).address()),
        Err(StoreError::Damaged)
    ));
}

//! What comes over the socket: packets, and in them the events of a dump.
#![no_main]

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::sync::OnceLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use tidemark_fuzz::{decoder, feed};
use tidemark_native::packets::Packets;
use tidemark_native::socket::{Address, Socket};

const LARGEST: usize = 100_000; // fits into the socket's buffer
const WAIT: Duration = Duration::from_secs(5);

static SERVER: OnceLock<(UnixListener, String)> = OnceLock::new();

fn sent(data: &[u8]) -> Packets {
    let (listener, path) = SERVER.get_or_init(|| {
        let path = format!("{}/tidemark-fuzz-{}", std::env::temp_dir().display(), std::process::id());
        let _ = std::fs::remove_file(&path); // another process of the same number left it
        (UnixListener::bind(&path).expect("a socket can be made"), path)
    });
    let socket = Socket::connect(&Address::Unix(path.clone()), WAIT).expect("it is there");
    listener.accept().and_then(|(mut stream, _)| stream.write_all(data)).expect("it fits");
    Packets::new(socket, WAIT)
}

/// What the protocol says that the bytes are; what is not there as a whole is left out.
fn expected(mut data: &[u8]) -> Vec<Vec<u8>> {
    let (mut found, mut open) = (Vec::new(), Vec::new());
    while let [a, b, c, _, rest @ ..] = data {
        let length = usize::from(*a) | usize::from(*b) << 8 | usize::from(*c) << 16;
        let Some((piece, left)) = rest.split_at_checked(length) else { break };
        open.extend_from_slice(piece);
        if length < 0xff_ffff {
            found.push(std::mem::take(&mut open));
        }
        data = left;
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let data = &data[..data.len().min(LARGEST)];
    let mut packets = sent(data);
    let mut found = Vec::new();
    while let Ok(Some(place)) = packets.next(WAIT) {
        found.push(packets.bytes(&place).to_vec());
    }
    assert_eq!(found, expected(data));
    let events = found.iter().map_while(|packet| packet.strip_prefix(&[0]));
    feed(&mut decoder(), events);
});

//! Free ports of the loopback interface, which a fixture keeps while the process behind them is killed and started again.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the range from which Linux takes the ports of outgoing connections, so that none of those gets in the way.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port that no other fixture on this machine gets while this value lives.
#[derive(Debug)]
pub struct Port {
    number: u16,
    /// Held for its lock, which other test processes see.
    _reservation: File,
}

impl Port {
    /// Reserves a port on which nobody listens.
    ///
    /// # Panics
    /// When the machine has none left or the temporary directory can't be written.
    pub fn reserve() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Test processes that run side by side begin at different places.
        let beginning = (std::process::id() % u32::from(COUNT)).wrapping_mul(101);
        (0..COUNT)
            .find_map(|_| {
                let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
                let offset = (beginning + step) % u32::from(COUNT);
                Self::try_reserve(FIRST + u16::try_from(offset).expect("the offset is below COUNT"))
            })
            .expect("a machine has a free port")
    }

    fn try_reserve(number: u16) -> Option<Self> {
        let reservations = std::env::temp_dir().join("runtime-manager-test-ports");
        std::fs::create_dir_all(&reservations).expect("the temporary directory is writable");
        let reservation = File::create(reservations.join(number.to_string())).ok()?;
        reservation.try_lock().ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        Some(Self {
            number,
            _reservation: reservation,
        })
    }

    /// The number of the port.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The address to listen on and to connect to.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

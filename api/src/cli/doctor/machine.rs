//! What can be seen without opening anything: permissions and room on the disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::finding::Report;
use crate::compose::storage::{self, MASTER_KEY_FILE};
use crate::config::{MasterKeySource, StorageSettings};

/// Below this many bytes of room the log may soon refuse changes.
const LITTLE_ROOM: u64 = 1 << 30;

pub(super) fn look(settings: &StorageSettings, report: &mut Report) {
    let path = &settings.data_dir;
    if !path.is_dir() {
        return;
    }
    permissions(path, report);
    room(path, report);
    if settings.master_key == MasterKeySource::DataDirectory
        && std::env::var_os(commands::keyring::master_key::ENVIRONMENT_VARIABLE).is_none()
        && !path.join(MASTER_KEY_FILE).exists()
    {
        return report.fail(
            "master key",
            "there is none: without it no secret in the log can be read; put the installation's back into the data directory as master.key (mode 600)",
        );
    }
    match storage::master_key(settings) {
        Ok(_) => report.ok("master key", "readable, and by its owner only"),
        Err(error) => report.fail("master key", &format!("{error:#}")),
    }
}

fn permissions(path: &Path, report: &mut Report) {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 == 0 => {
            report.ok("data directory", &format!("{shown}, its owner's only"));
        }
        Ok(_) => report.warn(
            "data directory",
            &format!("{shown} can be entered by others: run `chmod 700 {shown}`"),
        ),
        Err(error) => report.fail("data directory", &format!("{shown}: {error}")),
    }
}

fn room(path: &Path, report: &mut Report) {
    match rustix::fs::statvfs(path) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let detail = format!("{} MiB free", free >> 20);
            if free < LITTLE_ROOM {
                report.warn(
                    "disk",
                    &format!("{detail}: make room, a full disk refuses changes"),
                );
            } else {
                report.ok("disk", &detail);
            }
        }
        Err(error) => report.warn("disk", &format!("its free space can't be read: {error}")),
    }
}

//! Debian and Ubuntu packages: what is missing is installed (as root) or named, or unpacked without installing it.
use crate::paths;
use crate::process::{capture, command, find, run};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;

const APT_LIMIT: Duration = Duration::from_secs(15 * 60);
const QUICK: Duration = Duration::from_secs(60);

/// Something the verbs need from the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The virtual machine.
    Qemu,
    /// Its firmware.
    Ovmf,
    /// A C compiler: rustc links with it.
    Linker,
    /// The network boot loader that `bench` compares with.
    Ipxe,
    /// Network namespaces with a tap, for boots from real bee nodes.
    Namespaces,
    /// `bee-lab` is a Python program.
    Python,
    /// A second reader of the FAT file systems that `deboot disk` makes.
    Mtools,
}

impl Need {
    fn package(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-system-x86",
            Self::Ovmf => "ovmf",
            Self::Linker => "gcc",
            Self::Ipxe => "ipxe",
            Self::Namespaces => "iproute2",
            Self::Python => "python3",
            Self::Mtools => "mtools",
        }
    }

    fn purpose(self) -> &'static str {
        match self {
            Self::Qemu => "the virtual machine",
            Self::Ovmf => "its UEFI firmware",
            Self::Linker => "the linker",
            Self::Ipxe => "the boot loader to compare with",
            Self::Namespaces => "network namespaces for boots from real bee nodes",
            Self::Python => "runs the lab of real bee nodes",
            Self::Mtools => "reads the disks that were made",
        }
    }

    fn is_met(self) -> bool {
        match self {
            Self::Qemu => find("qemu-system-x86_64").is_some(),
            Self::Ovmf => ovmf().is_ok(),
            Self::Linker => find("cc").is_some(),
            Self::Ipxe => Path::new(IPXE_EFI).is_file(),
            Self::Namespaces => find("ip").is_some(),
            Self::Python => find("python3").is_some(),
            Self::Mtools => find("mtype").is_some(),
        }
    }
}

/// Where Debian and Ubuntu put iPXE with firmware-independent drivers.
pub(crate) const IPXE_EFI: &str = "/usr/lib/ipxe/ipxe.efi";

/// OVMF's code and an empty variable store for it.
#[derive(Clone, Debug)]
pub(crate) struct Ovmf {
    /// Read-only flash.
    pub(crate) code: PathBuf,
    /// Template of the writable flash.
    pub(crate) variables: PathBuf,
}

/// Finds OVMF; the 4 MiB build is the only one on newer systems.
///
/// # Errors
/// Not installed.
pub(crate) fn ovmf() -> Result<Ovmf> {
    for size in ["_4M", ""] {
        let file = |part: &str| PathBuf::from(format!("/usr/share/OVMF/OVMF_{part}{size}.fd"));
        let found = Ovmf {
            code: file("CODE"),
            variables: file("VARS"),
        };
        if found.code.is_file() && found.variables.is_file() {
            return Ok(found);
        }
    }
    bail!("no OVMF firmware in /usr/share/OVMF")
}

/// Installs what is missing, after saying so; when that needs root, names the command instead.
///
/// # Errors
/// Something is missing and cannot be installed.
pub(crate) fn ensure(needs: &[Need]) -> Result<()> {
    let missing: Vec<_> = needs
        .iter()
        .copied()
        .filter(|need| !need.is_met())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Missing on this system:");
    for need in &missing {
        println!("  {:<16} {}", need.package(), need.purpose());
    }
    let names: Vec<_> = missing.iter().map(|need| need.package()).collect();
    let line = format!(
        "apt-get install -y --no-install-recommends {}",
        names.join(" ")
    );
    if find("apt-get").is_none() {
        bail!("this is neither Debian nor Ubuntu: please install what is named above");
    }
    if !is_root()? {
        bail!(
            "installing needs root. Please run this, and then this verb again:\n\n    sudo {line}\n"
        );
    }
    println!("Installing: {line}");
    apt_update()?;
    let mut install = command("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive").args([
        "-q",
        "-y",
        "--no-install-recommends",
        "install",
    ]);
    run(install.args(&names), APT_LIMIT)?;
    match missing.iter().find(|need| !need.is_met()) {
        None => Ok(()),
        Some(need) => bail!(
            "package {} is installed, but what was needed of it is not there",
            need.package()
        ),
    }
}

fn is_root() -> Result<bool> {
    Ok(capture(command("id").arg("-u"), QUICK)?.trim() == "0")
}

fn apt_update() -> Result<()> {
    run(command("apt-get").args(["-q", "update"]), APT_LIMIT)
}

/// A package unpacked without installing it.
#[derive(Clone, Debug)]
pub(crate) struct Unpacked {
    directory: PathBuf,
}

impl Unpacked {
    /// Returns the path of one of its files (no leading slash), checked against the package's own checksums.
    ///
    /// # Errors
    /// The file is not in the package, or is not what the package says.
    pub(crate) fn file(&self, path: &str) -> Result<PathBuf> {
        let sums = std::fs::read_to_string(self.directory.join("DEBIAN/md5sums"))
            .context("package without checksums")?;
        let line = sums
            .lines()
            .find(|line| line.split_once("  ").is_some_and(|(_, name)| name == path))
            .with_context(|| format!("the package has no checksum for {path}"))?;
        let list = self.directory.join("DEBIAN/one.md5");
        std::fs::write(&list, format!("{line}\n"))?;
        capture(
            command("md5sum")
                .args(["--check", "--strict"])
                .arg(&list)
                .current_dir(&self.directory),
            QUICK,
        )
        .with_context(|| format!("{path} is not as the package delivered it"))?;
        Ok(self.directory.join(path))
    }

    /// Returns the names of files in one of its directories, sorted.
    pub(crate) fn list(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.join(directory))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Downloads a package with apt (which checks the archive's signature) and unpacks it below the target directory.
///
/// # Errors
/// apt does not know the package or cannot download it.
pub(crate) fn unpack(package: &str) -> Result<Unpacked> {
    let directory = paths::work("packages")?.join(package);
    if directory.join("DEBIAN/md5sums").is_file() {
        return Ok(Unpacked { directory });
    }
    println!("Downloading package {package} (not installed, only unpacked below target/)");
    know(package)?;
    let downloads = paths::fresh(&format!("packages/{package}.download"))?;
    let mut download = command("apt-get");
    if is_root()? {
        // Otherwise apt warns that its own user cannot write into the clone.
        download.args(["-o", "APT::Sandbox::User=root"]);
    }
    capture(
        download
            .args(["-q", "download", package])
            .current_dir(&downloads),
        APT_LIMIT,
    )?;
    let archive = std::fs::read_dir(&downloads)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
    let archive = archive.with_context(|| format!("apt-get downloaded no package {package}"))?;
    let partial = paths::fresh(&format!("packages/{package}.partial"))?;
    capture(
        command("dpkg-deb")
            .arg("--extract")
            .arg(&archive)
            .arg(&partial),
        APT_LIMIT,
    )?;
    capture(
        command("dpkg-deb")
            .arg("--control")
            .arg(&archive)
            .arg(partial.join("DEBIAN")),
        APT_LIMIT,
    )?;
    // A package is there whole or not at all.
    std::fs::rename(&partial, &directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    std::fs::remove_dir_all(&downloads)?;
    Ok(Unpacked { directory })
}

/// Sees to it that apt knows the package: a fresh container has no package lists.
fn know(package: &str) -> Result<()> {
    let known = || {
        capture(command("apt-cache").args(["show", package]), QUICK)
            .is_ok_and(|text| !text.is_empty())
    };
    if known() {
        return Ok(());
    }
    if !is_root()? {
        bail!(
            "apt does not know the package {package}. Please run this, and then this verb again:\n\n    sudo apt-get update\n"
        );
    }
    apt_update()?;
    if known() {
        Ok(())
    } else {
        bail!("apt does not know the package {package}")
    }
}

/// The kernel of the demonstration image, straight from its package.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// `uname -r`
    pub(crate) release: String,
    /// The image.
    pub(crate) image: PathBuf,
    /// Modules init needs that are not built in, by file name.
    pub(crate) modules: Vec<(String, PathBuf)>,
}

/// Meta packages that name the newest kernel for virtual machines: Debian's, then Ubuntu's.
const KERNEL_META_PACKAGES: [&str; 2] = ["linux-image-cloud-amd64", "linux-image-virtual"];

/// Gets the distribution's kernel for virtual machines.
///
/// # Errors
/// No such package, or one that is not what it should be.
pub(crate) fn kernel() -> Result<Kernel> {
    let package = kernel_package()?;
    let release = package.trim_start_matches("linux-image-").to_owned();
    let unpacked = unpack(&package)?;
    let image = unpacked.file(&format!("boot/vmlinuz-{release}"))?;
    // Debian has everything in one package, Ubuntu has modules and configuration in a second one.
    let config_path = format!("boot/config-{release}");
    let rest = if unpacked
        .list("boot")
        .iter()
        .any(|name| config_path.ends_with(name.as_str()))
    {
        unpacked
    } else {
        unpack(&format!("linux-modules-{release}"))?
    };
    let config = std::fs::read_to_string(rest.file(&config_path)?)?;
    let mut modules = Vec::new();
    match config
        .lines()
        .find_map(|line| line.strip_prefix("CONFIG_EFIVAR_FS="))
    {
        Some("y") => {}
        Some("m") => {
            let path = rest.file(&format!(
                "lib/modules/{release}/kernel/fs/efivarfs/efivarfs.ko"
            ))?;
            modules.push(("efivarfs.ko".to_owned(), path));
        }
        _ => bail!("kernel {release} has no efivarfs: debootd could not read what SWFETCH left"),
    }
    Ok(Kernel {
        release,
        image,
        modules,
    })
}

fn kernel_package() -> Result<String> {
    let depends = |meta: &str| -> Option<String> {
        let text = capture(command("apt-cache").args(["depends", meta]), QUICK).ok()?;
        let name = text
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: "))?;
        name.starts_with("linux-image-").then(|| name.to_owned())
    };
    let newest = || KERNEL_META_PACKAGES.into_iter().find_map(depends);
    if let Some(name) = newest() {
        return Ok(name);
    }
    know(KERNEL_META_PACKAGES[0]).or_else(|_| know(KERNEL_META_PACKAGES[1]))?;
    newest().with_context(|| format!("apt knows none of {}", KERNEL_META_PACKAGES.join(", ")))
}

/// Gets a static busybox: the installed one, or the one in the package.
///
/// # Errors
/// apt does not know or cannot download it.
pub(crate) fn busybox() -> Result<PathBuf> {
    let installed = capture(
        command("dpkg-query").args(["--listfiles", "busybox-static"]),
        QUICK,
    )
    .unwrap_or_default();
    let file = installed
        .lines()
        .find(|path| path.ends_with("/bin/busybox"));
    if let Some(path) = file.map(PathBuf::from).filter(|path| path.is_file()) {
        return Ok(path);
    }
    let package = unpack("busybox-static")?;
    // Newer distributions have merged /bin into /usr/bin.
    package
        .file("bin/busybox")
        .or_else(|_| package.file("usr/bin/busybox"))
}

//! UEFI device paths as bytes: the two that the hand-over makes, and a bounded reader for the few facts needed from others.
//!
//! Node layout: UEFI specification, "Generic Device Path Structures": type u8, sub-type u8, length u16 LE (header included).
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Most bytes of a device path that are looked at.
pub const PATH_BYTES_MAX: usize = 4096;

const END: [u8; 4] = [0x7f, 0xff, 4, 0];

/// Vendor media device path of `LINUX_EFI_INITRD_MEDIA_GUID` (5568e427-68fc-4f3d-ac74-ca555231cc68), end node included.
pub const INITRD: [u8; 24] = [
    4, 3, 20, 0, // media, vendor-defined
    0x27, 0xe4, 0x68, 0x55, 0xfc, 0x68, 0x3d, 0x4f, 0xac, 0x74, 0xca, 0x55, 0x52, 0x31, 0xcc, 0x68,
    END[0], END[1], END[2], END[3],
];

/// Makes the memory-mapped device path that says where a loaded image's source lies: hardware node 3, memory type, first and last
/// address.
pub fn memory_mapped(memory_type: u32, start: u64, len: u64) -> [u8; 28] {
    let mut path = [0u8; 28];
    let last = start.saturating_add(len.saturating_sub(1));
    path[..4].copy_from_slice(&[1, 3, 24, 0]);
    path[4..8].copy_from_slice(&memory_type.to_le_bytes());
    path[8..16].copy_from_slice(&start.to_le_bytes());
    path[16..24].copy_from_slice(&last.to_le_bytes());
    path[24..].copy_from_slice(&END);
    path
}

/// One node: type, sub-type and data behind the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Type: 1 hardware, 2 ACPI, 3 messaging, 4 media, 5 BIOS boot.
    pub kind: u8,
    /// Sub-type.
    pub subkind: u8,
    /// Data.
    pub data: &'a [u8],
}

/// Yields the nodes of one device path up to its end node; stops at the first malformed one.
pub fn nodes(path: &[u8]) -> impl Iterator<Item = Node<'_>> {
    let mut rest = path.get(..PATH_BYTES_MAX).unwrap_or(path);
    core::iter::from_fn(move || {
        let (header, _) = rest.split_first_chunk::<4>()?;
        let [kind, subkind, low, high] = *header;
        let len = usize::from(u16::from_le_bytes([low, high]));
        if kind & 0x7f == 0x7f || len < 4 {
            return None;
        }
        let data = rest.get(4..len)?;
        rest = rest.get(len..)?;
        Some(Node {
            kind,
            subkind,
            data,
        })
    })
}

/// Says whether the path goes through a UART (messaging 14): a console on a serial line.
pub fn has_uart(path: &[u8]) -> bool {
    nodes(path).any(|node| (node.kind, node.subkind) == (3, 14))
}

/// Says whether the path has an IPv4 (messaging 12) or IPv6 (13) node: a child of a network interface.
pub fn has_ip(path: &[u8]) -> bool {
    nodes(path).any(|node| node.kind == 3 && matches!(node.subkind, 12 | 13))
}

/// Says whether the path ends in wireless: Wi-Fi (messaging 28) or Bluetooth (27, 30).
pub fn is_wireless(path: &[u8]) -> bool {
    nodes(path).any(|node| node.kind == 3 && matches!(node.subkind, 27 | 28 | 30))
}

/// Returns the unique GUID of the GPT partition named in the path (media 1 with signature type 2), in lower-case text form.
pub fn gpt_partition(path: &[u8]) -> Option<String> {
    // SPEC UEFI "Hard Drive Media Device Path": partition number 4, start 8, size 8, signature 16, format 1, signature type 1.
    nodes(path).find_map(|node| {
        if (node.kind, node.subkind) != (4, 1) || node.data.get(37) != Some(&2) {
            return None;
        }
        let signature: [u8; 16] = node.data.get(20..36)?.try_into().ok()?;
        let [a, b, c, d, e, f, g, h, tail @ ..] = signature;
        let mut text = format!(
            "{:08x}-{:04x}-{:04x}-",
            u32::from_le_bytes([a, b, c, d]),
            u16::from_le_bytes([e, f]),
            u16::from_le_bytes([g, h])
        );
        for (index, byte) in tail.iter().enumerate() {
            text += &format!("{}{byte:02x}", if index == 2 { "-" } else { "" });
        }
        Some(text)
    })
}

/// Describes the PCI or USB place of a device in short: `PCI 02.0`, `USB 3`; empty when there is none.
pub fn place(path: &[u8]) -> String {
    let mut parts = Vec::new();
    for node in nodes(path) {
        match (node.kind, node.subkind, node.data) {
            (1, 1, [function, device, ..]) => parts.push(format!("PCI {device:02x}.{function}")),
            (3, 5, [port, ..]) => parts.push(format!("USB {port}")),
            _ => {}
        }
    }
    parts.join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    // PciRoot(0)/Pci(2,1)/MAC(...)/end, as OVMF gives it (shortened MAC node).
    const NIC: &[u8] = &[
        2, 1, 12, 0, 0xd0, 0x41, 3, 10, 0, 0, 0, 0, 1, 1, 6, 0, 1, 2, 3, 11, 8, 0, 0x52, 0x54, 0,
        0x12, 0x7f, 0xff, 4, 0,
    ];

    #[test]
    fn initrd_path_is_the_vendor_media_guid() {
        let all: Vec<_> = nodes(&INITRD).collect();
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].kind, all[0].subkind, all[0].data.len()), (4, 3, 16));
        assert_eq!(all[0].data[..4], 0x5568_e427u32.to_le_bytes());
    }

    #[test]
    fn memory_path_names_first_and_last_byte() {
        let path = memory_mapped(2, 0x1000, 0x200);
        assert_eq!(
            path,
            [
                1, 3, 24, 0, 2, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0xff, 0x11, 0, 0, 0, 0, 0, 0,
                0x7f, 0xff, 4, 0
            ]
        );
    }

    #[test]
    fn place_and_kind_are_read_from_the_nodes() {
        assert_eq!(place(NIC), "PCI 02.1");
        assert!(!has_uart(NIC) && !is_wireless(NIC));
        assert!(has_uart(&[
            3, 14, 8, 0, 1, 2, 3, 4, 3, 10, 4, 0, 0x7f, 0xff, 4, 0
        ]));
        assert!(is_wireless(&[3, 28, 5, 0, 0, 0x7f, 0xff, 4, 0]));
        assert_eq!(gpt_partition(NIC), None);
    }

    #[test]
    fn partition_guid_has_the_text_form_of_linux() {
        let mut path = alloc::vec![4u8, 1, 42, 0, 1, 0, 0, 0];
        path.extend([0; 16]);
        path.extend([
            0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9,
            0x3b,
        ]);
        path.extend([2, 2, 0x7f, 0xff, 4, 0]);
        assert_eq!(
            gpt_partition(&path).as_deref(),
            Some("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
        );
    }

    #[test]
    fn malformed_paths_end_the_walk() {
        for bad in [
            &[][..],
            &[1],
            &[1, 1, 3, 0, 9],
            &[1, 1, 0, 0],
            &[1, 1, 200, 0, 0],
            &[1, 1, 255, 255],
        ] {
            assert_eq!(nodes(bad).count(), 0, "{bad:?}");
        }
        // No end node: the last whole node still counts.
        assert_eq!(nodes(&NIC[..18]).count(), 2);
    }
}

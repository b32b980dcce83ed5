import CLinux

/// The memory that Swift's objects live in: glibc's heap.
public enum Heap {
    /// A larger block goes back to the system as it is freed.
    private static let mappedBytesMin: Int32 = 256 * 1024
    /// What may be free at a heap's end; the rest is given back from there, one system call for each time.
    private static let endBytesMax: Int32 = 4 << 20

    /// Has large blocks given back as they are freed. By default the first of them that is freed makes glibc keep all that are no larger.
    /// Before there are other threads.
    public static func configure() {
        _ = mallopt(M_MMAP_THRESHOLD, Self.mappedBytesMin)
        _ = mallopt(M_TRIM_THRESHOLD, Self.endBytesMax)
    }

    /// Bytes in use. It looks at each free block, with the heap locked.
    public static var usedBytes: Int {
        let info = mallinfo2()
        return info.uordblks + info.hblkhd
    }

    /// Gives whole free pages back to the system. It looks at each free block, with the heap locked.
    public static func releaseFreePages() { _ = malloc_trim(0) }
}

import java.io.File;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.apache.zookeeper.server.DataTree;
import org.apache.zookeeper.server.persistence.FileSnap;
import org.apache.zookeeper.server.persistence.FileTxnLog;
import org.apache.zookeeper.server.persistence.TxnLog.TxnIterator;
import org.apache.zookeeper.txn.TxnHeader;

/**
 * The tree as it was at some zxids: a server's transaction log, applied to an empty tree by ZooKeeper's own classes.
 *
 * <p>Arguments: the server's dataLogDir, a directory for snapshots, zxids in ascending order (hex). The server may run.
 */
public final class Replay implements AutoCloseable {
    private static final long COUNTER = 0xffffffffL;

    private final Path logs;
    private final File out;
    private final Deque<Long> wanted;
    private final DataTree tree = new DataTree();
    private long last;

    private Replay(Path dataLogDir, File out, Deque<Long> wanted) throws IOException {
        this.logs = linked(dataLogDir.resolve("version-2"));
        this.out = out;
        this.wanted = wanted;
        // Since 3.6 each transaction tells the digest that the server's tree had after it.
        tree.addDigestWatcher(zxid -> {
            throw new IllegalStateException("after " + hex(zxid) + " the tree is not the one that the server had");
        });
    }

    public static void main(String[] arguments) throws IOException {
        Deque<Long> wanted = Arrays.stream(arguments).skip(2).map(zxid -> Long.parseLong(zxid, 16))
            .collect(Collectors.toCollection(ArrayDeque::new));
        try (Replay replay = new Replay(Paths.get(arguments[0]), new File(arguments[1]), wanted)) {
            replay.run();
        } catch (IllegalStateException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }

    /** Links to the log files: a reader deletes an empty last one, which a running server has just begun. */
    private static Path linked(Path directory) throws IOException {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, "log.*")) {
            Path links = Files.createTempDirectory("replay");
            for (Path file : files) {
                Files.createSymbolicLink(links.resolve(file.getFileName()), file.toAbsolutePath());
            }
            return links;
        }
    }

    private void run() throws IOException {
        try (FileTxnLog log = new FileTxnLog(logs.toFile()); TxnIterator transactions = log.read(0)) {
            boolean more = transactions.getHeader() != null;
            while (more && !wanted.isEmpty()) {
                pass(transactions.getHeader().getZxid());
                apply(transactions);
                more = next(transactions);
            }
        }
        pass(last + 1);
        if (!wanted.isEmpty()) {
            throw new IllegalStateException("the log ends at " + hex(last) + ", before " + hex(wanted.peek()));
        }
    }

    /** A running server may be in the middle of writing the last one. */
    private static boolean next(TxnIterator transactions) {
        try {
            return transactions.next();
        } catch (IOException torn) {
            return false;
        }
    }

    /** Write the tree for each wanted zxid before this one. */
    private void pass(long zxid) throws IOException {
        while (!wanted.isEmpty() && wanted.peek() < zxid) {
            File file = new File(out, "snapshot." + Long.toHexString(wanted.remove()));
            new FileSnap(out).serialize(tree, new ConcurrentHashMap<>(), file, false);
        }
    }

    private void apply(TxnIterator transactions) {
        TxnHeader header = transactions.getHeader();
        long zxid = header.getZxid();
        boolean nextInEpoch = zxid == last + 1 && last != 0;
        boolean firstInEpoch = zxid > last && (zxid & COUNTER) == 1;
        if (!nextInEpoch && !firstInEpoch) {
            String hole = last == 0 ? "at the first transaction" : "again where it stopped, at " + hex(last);
            throw new IllegalStateException("the log does not begin " + hole + ", but at " + hex(zxid));
        }
        tree.processTxn(header, transactions.getTxn(), transactions.getDigest());
        last = zxid;
    }

    private static String hex(long zxid) {
        return "0x" + Long.toHexString(zxid);
    }

    @Override
    public void close() throws IOException {
        try (DirectoryStream<Path> links = Files.newDirectoryStream(logs)) {
            for (Path link : links) {
                Files.delete(link);
            }
        }
        Files.delete(logs);
    }
}

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.zookeeper.server.DataTree;
import org.apache.zookeeper.server.persistence.FileSnap;

/**
 * Loads snapshots as a server does at its start, and writes each again, as a leader does then.
 *
 * <p>Each line of stdin is a {@code version-2} with one snapshot. The answer is {@code loaded}, or what was thrown.
 */
public final class LoadSnapshots {
    private LoadSnapshots() {
    }

    public static void main(String[] arguments) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(load(new File(line)));
            System.out.flush();
        }
    }

    private static String load(File directory) {
        try {
            DataTree tree = new DataTree();
            FileSnap snapshots = new FileSnap(directory);
            long zxid = snapshots.deserialize(tree, new HashMap<>());
            File again = new File(directory, "snapshot." + Long.toHexString(zxid));
            snapshots.serialize(tree, new ConcurrentHashMap<>(), again, false);
            return "loaded";
        } catch (IOException | RuntimeException | StackOverflowError error) {
            return error.toString().replace('\n', ' ');
        }
    }
}

import java.io.IOException;
import java.io.UncheckedIOException;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.stream.Collectors;
import org.apache.zookeeper.AsyncCallback.Create2Callback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/**
 * Writes to a ZooKeeper, with everything that can be written, as fast as it is told.
 *
 * <p>Arguments: address, writes per second, seed, znodes to begin with, login (user:password), options (name=number).
 * It makes the tree, prints {@code ready}, writes until its stdin ends, and prints what it did as one line of JSON.
 *
 * <p>Where a connection is lost, nobody knows what was done: some writes after it fail that were not meant to.
 */
public final class Load {
    private static final int SESSIONS = 3;

    private Load() {
    }

    public static void main(String[] arguments) throws Exception {
        Options options = new Options(arguments, 5);
        Random random = new Random(Long.parseLong(arguments[2]));
        Counts counts = new Counts();
        Pace pace = new Pace();
        World world = new World(arguments[0], arguments[4], Integer.parseInt(arguments[3]));
        List<Writer> writers = new ArrayList<>();
        for (int number = 0; number < SESSIONS; number++) {
            writers.add(new Writer(number, world, options, new Random(random.nextLong()), counts, pace));
        }
        writers.get(0).makeParents();
        for (Writer writer : writers) {
            writer.makeOwn(world.znodes / SESSIONS);
        }
        pace.drain();
        counts.clear();
        System.out.println("ready");

        long begin = System.nanoTime();
        Churn churn = new Churn(world, options.get("sessions"), new Random(random.nextLong()), counts);
        churn.start();
        pace.limit(Double.parseDouble(arguments[1]));
        Thread main = Thread.currentThread();
        Ending ending = new Ending();
        ending.start();
        for (int turn = 0; ending.isAlive(); turn++) {
            writers.get(turn % SESSIONS).write();
        }
        pace.drain();
        double seconds = (System.nanoTime() - begin) / 1e9;
        churn.end();
        for (Writer writer : writers) {
            writer.close();
        }
        System.out.println(counts.json(seconds));
        System.exit(0);
    }
}

/** Ends with stdin. */
final class Ending extends Thread {
    Ending() {
        setDaemon(true);
    }

    @Override
    public void run() {
        try {
            while (System.in.read() >= 0) {
                continue;
            }
        } catch (IOException closed) {
            return;
        }
    }
}

/** How often each kind of write is made, as a share of the sum of all, about 1100; and what is no share, the last. */
final class Options {
    private static final List<String> DELETING =
        List.of("delete", "recreate", "subtree", "ephemeral", "ttl", "container", "quota", "sessions");
    private static final List<String> NO_SHARES = List.of("deletes", "hot", "sessions");

    private final Map<String, Double> values = new LinkedHashMap<>();
    private final double sum;

    Options(String[] arguments, int first) {
        values.put("create", 200.0);
        values.put("sequential", 60.0);
        values.put("delete", 260.0);
        values.put("set", 300.0);
        values.put("multi", 80.0);
        values.put("recreate", 20.0);
        values.put("subtree", 3.0); // of some twenty writes each
        values.put("ephemeral", 60.0);
        values.put("ttl", 20.0);
        values.put("container", 40.0);
        values.put("quota", 1.0); // of four writes each
        values.put("setacl", 5.0);
        values.put("failing", 60.0);
        values.put("sessions", 2.0); // opened and closed per second
        values.put("hot", 0.1); // share of writes at and below few parents
        values.put("deletes", 1.0); // 0: nothing is ever deleted, nor goes by itself
        for (String argument : Arrays.asList(arguments).subList(first, arguments.length)) {
            String[] pair = argument.split("=");
            if (values.put(pair[0], Double.parseDouble(pair[1])) == null) {
                throw new IllegalArgumentException("there is no option " + pair[0]);
            }
        }
        if (values.get("deletes") == 0) {
            DELETING.forEach(kind -> values.put(kind, 0.0));
        }
        sum = shares().values().stream().mapToDouble(Double::doubleValue).sum();
    }

    double get(String name) {
        return values.get(name);
    }

    /** A kind of write. */
    String draw(Random random) {
        double left = random.nextDouble() * sum;
        for (Map.Entry<String, Double> share : values.entrySet()) {
            left -= NO_SHARES.contains(share.getKey()) ? 0 : share.getValue();
            if (left < 0) {
                return share.getKey();
            }
        }
        return "set";
    }

    private Map<String, Double> shares() {
        Map<String, Double> shares = new LinkedHashMap<>(values);
        shares.keySet().removeAll(NO_SHARES);
        return shares;
    }
}

/** How many writes of each kind succeeded and failed, and what the failures were. */
final class Counts {
    private final Map<String, LongAdder> succeeded = new ConcurrentHashMap<>();
    private final Map<String, LongAdder> failed = new ConcurrentHashMap<>();
    private final Map<String, LongAdder> errors = new ConcurrentHashMap<>();

    void add(String kind, int code) {
        increment(code == 0 ? succeeded : failed, kind);
        if (code != 0) {
            increment(errors, Code.get(code) == null ? String.valueOf(code) : Code.get(code).name());
        }
    }

    void clear() {
        succeeded.clear();
        failed.clear();
        errors.clear();
    }

    String json(double seconds) {
        return "{\"seconds\": " + seconds + ", \"succeeded\": " + json(succeeded) + ", \"failed\": " + json(failed)
            + ", \"errors\": " + json(errors) + "}";
    }

    private static void increment(Map<String, LongAdder> counts, String key) {
        counts.computeIfAbsent(key, missing -> new LongAdder()).increment();
    }

    private static String json(Map<String, LongAdder> counts) {
        return new TreeMap<>(counts).entrySet().stream()
            .map(entry -> "\"" + entry.getKey() + "\": " + entry.getValue())
            .collect(Collectors.joining(", ", "{", "}"));
    }
}

/** Lets writes pass: so many a second, and so many without a reply. */
final class Pace {
    private static final int OUTSTANDING = 500;
    private static final long CATCH_UP = TimeUnit.MILLISECONDS.toNanos(200);

    private final Semaphore free = new Semaphore(OUTSTANDING);
    private long interval;
    private long next;

    /** From now on; there is no limit before. */
    void limit(double perSecond) {
        interval = (long) (1e9 / perSecond);
        next = System.nanoTime();
    }

    void begin() {
        free.acquireUninterruptibly();
        long now = System.nanoTime();
        next = Math.max(next + interval, now - CATCH_UP);
        if (next > now && interval > 0) {
            LockSupport.parkNanos(next - now);
        }
    }

    void end() {
        free.release();
    }

    /** Wait for all replies. */
    void drain() throws InterruptedException {
        if (!free.tryAcquire(OUTSTANDING, 60, TimeUnit.SECONDS)) {
            throw new IllegalStateException("no reply within a minute");
        }
        free.release(OUTSTANDING);
    }
}

/** The server, and what all writers share below it. Parents are never deleted; the root is the empty string. */
final class World {
    static final String TOP = "/load";
    private static final int BRANCHES = 5;
    private static final int CHILDREN = 100;
    private static final int HOT = 4;
    private static final int READERS = 50;

    final int znodes;
    final List<String> branches = new ArrayList<>();
    final List<String> hotParents = new ArrayList<>();
    final List<String> wideParents = new ArrayList<>();
    final List<List<ACL>> acls = new ArrayList<>();
    private final String address;
    private final String login;

    World(String address, String login, int znodes) throws NoSuchAlgorithmException {
        this.address = address;
        this.login = login;
        this.znodes = znodes;
        for (int number = 0; number < HOT; number++) {
            hotParents.add(TOP + "/hot-" + number);
        }
        for (int number = 0; number < BRANCHES; number++) {
            branches.add(TOP + "/branch-" + number);
        }
        for (int number = 0; number < Math.max(2 * BRANCHES, znodes / CHILDREN); number++) {
            wideParents.add(branches.get(number % BRANCHES) + "/parent-" + number);
        }
        addAcls();
    }

    /** All but the first let the login do everything, and give others less. */
    private void addAcls() throws NoSuchAlgorithmException {
        ACL owner = new ACL(Perms.ALL, digest(login));
        ACL everyone = new ACL(Perms.READ, Ids.ANYONE_ID_UNSAFE);
        acls.add(Ids.OPEN_ACL_UNSAFE);
        acls.add(List.of(owner));
        acls.add(List.of(everyone, owner));
        acls.add(List.of(owner, new ACL(Perms.ALL, new Id("ip", "10.0.0.1")), everyone));
        for (int number = 0; number < READERS; number++) {
            acls.add(List.of(owner, new ACL(Perms.READ, digest("reader-" + number + ":password"))));
        }
    }

    private static Id digest(String login) throws NoSuchAlgorithmException {
        return new Id("digest", DigestAuthenticationProvider.generateDigest(login));
    }

    /** A session, connected and logged in. */
    ZooKeeper connect() throws InterruptedException {
        try {
            CountDownLatch connected = new CountDownLatch(1);
            ZooKeeper zookeeper = new ZooKeeper(address, 30_000, event -> {
                if (event.getState() == KeeperState.SyncConnected) {
                    connected.countDown();
                }
            });
            if (!connected.await(60, TimeUnit.SECONDS)) {
                throw new IllegalStateException("no connection within a minute");
            }
            zookeeper.addAuthInfo("digest", login.getBytes());
            return zookeeper;
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }
}

/** Some parents, and the znodes that one writer has below them. */
final class Area {
    private static final int REMEMBERED = 1000;

    private final List<String> parents;
    private final List<String> present = new ArrayList<>();
    private final List<String> gone = new ArrayList<>();
    private final Random random;

    Area(List<String> parents, Random random) {
        this.parents = parents;
        this.random = random;
    }

    String parent() {
        return parents.get(random.nextInt(parents.size()));
    }

    /** Not the root: the digests that a server logs are wrong once somebody has set the root's data. */
    String inner() {
        String parent = parent();
        return parent.isEmpty() ? inner() : parent;
    }

    boolean isEmpty() {
        return present.isEmpty();
    }

    void add(String path) {
        present.add(path);
    }

    /** One that is there. */
    String any() {
        return present.get(random.nextInt(present.size()));
    }

    /** One that is there, to be deleted: it may be asked for again. */
    String remove() {
        String path = draw(present);
        if (gone.size() < REMEMBERED) {
            gone.add(path);
        }
        return path;
    }

    /** One that is not there: either one that was, or one below some parent. */
    String absent(String name) {
        return gone.isEmpty() || random.nextBoolean() ? parent() + "/" + name : draw(gone);
    }

    private String draw(List<String> from) {
        Collections.swap(from, random.nextInt(from.size()), from.size() - 1);
        return from.remove(from.size() - 1);
    }
}

/**
 * One session and the znodes that are its own. It knows what is there as soon as it has sent a write, since a session's
 * writes are done in order: so it never waits, and none fails that is not meant to.
 */
final class Writer {
    private static final int IMPOSSIBLE = 1 << 30;
    private static final byte[] DATA = new byte[16 << 10];
    private static final int BATCH = 50;
    private static final byte[] QUOTA = "count=1000000000,bytes=1000000000000".getBytes();
    private static final byte[] NO_USE = "count=0,bytes=0".getBytes();

    private final World world;
    private final Options options;
    private final Random random;
    private final Counts counts;
    private final Pace pace;
    private final String prefix;
    private final Area hot;
    private final Area wide;
    private final Queue<String> numbered = new ConcurrentLinkedQueue<>();
    private final List<String> ephemerals = new ArrayList<>();
    private final List<List<String>> containers = new ArrayList<>();
    private final List<String> subtree = new ArrayList<>();
    private final String underQuota;
    private boolean hasSubtree;
    private int serial;
    private ZooKeeper zookeeper;

    Writer(int number, World world, Options options, Random random, Counts counts, Pace pace)
            throws InterruptedException {
        this.world = world;
        this.options = options;
        this.random = random;
        this.counts = counts;
        this.pace = pace;
        prefix = "w" + number;
        hot = new Area(world.hotParents, random);
        List<String> wideParents = new ArrayList<>(world.wideParents);
        wideParents.add("");
        wide = new Area(wideParents, random);
        underQuota = number == 0 ? world.hotParents.get(0) : world.branches.get(number);
        addSubtree(World.TOP + "/subtree-" + prefix, 3);
        random.nextBytes(DATA);
        zookeeper = world.connect();
    }

    private void addSubtree(String path, int depth) {
        subtree.add(path);
        for (int child = 0; depth > 1 && child < 4; child++) {
            addSubtree(path + "/n" + child, depth - 1);
        }
    }

    /** Make what all share. */
    void makeParents() throws InterruptedException {
        create("parent", World.TOP);
        for (List<String> parents : List.of(world.hotParents, world.branches, world.wideParents)) {
            parents.forEach(path -> create("parent", path));
        }
        pace.drain();
    }

    /** Make so many znodes, and a quota. */
    void makeOwn(int znodes) {
        for (int made = 0; made < znodes; made += BATCH) {
            List<Op> batch = new ArrayList<>();
            for (int number = made; number < Math.min(made + BATCH, znodes); number++) {
                Area area = number % 10 == 0 ? hot : wide;
                String path = area.parent() + "/" + name("n");
                area.add(path);
                batch.add(Op.create(path, data(), acl(), CreateMode.PERSISTENT));
            }
            multi("parent", batch);
        }
        if (options.get("quota") > 0) {
            makeQuota();
        }
    }

    /** One write, or a few that belong together. */
    void write() throws InterruptedException {
        if (!zookeeper.getState().isAlive()) { // expired, with all its ephemerals
            zookeeper = world.connect();
            ephemerals.clear();
        }
        Area area = random.nextDouble() < options.get("hot") ? hot : wide;
        for (String path = numbered.poll(); path != null; path = numbered.poll()) {
            hot.add(path);
        }
        String kind = options.draw(random);
        if (area.isEmpty() && List.of("delete", "set", "multi", "recreate", "setacl", "failing").contains(kind)) {
            kind = "create";
        }
        switch (kind) {
            case "create":
                createOne(area);
                break;
            case "sequential":
                createNumbered();
                break;
            case "delete":
                delete(kind, area.remove());
                break;
            case "set":
                set(kind, random.nextInt(20) == 0 ? area.inner() : area.any(), -1);
                break;
            case "multi":
                writeTogether(area);
                break;
            case "recreate":
                recreate(area);
                break;
            case "subtree":
                moveSubtree();
                break;
            case "ephemeral":
                moveEphemeral(area);
                break;
            case "ttl":
                create(kind, area.parent() + "/" + name("ttl-"), CreateMode.PERSISTENT_WITH_TTL, acl(),
                    50 + random.nextInt(2000));
                break;
            case "container":
                moveContainer();
                break;
            case "quota":
                makeQuotaAnew();
                break;
            case "setacl":
                setAcl(kind, area.any());
                break;
            default:
                fail(area);
        }
    }

    void close() throws InterruptedException {
        zookeeper.close();
    }

    private void createOne(Area area) {
        String path = area.absent(name("n"));
        area.add(path);
        create("create", path);
    }

    private void createNumbered() {
        send("sequential", done -> {
            Create2Callback reply = (code, path, context, name, stat) -> {
                if (code == 0) {
                    numbered.add(name);
                }
                done.accept(code);
            };
            zookeeper.create(hot.parent() + "/" + prefix + "-", data(), acl(), CreateMode.PERSISTENT_SEQUENTIAL, reply,
                null);
        });
    }

    private void writeTogether(Area area) {
        String created = area.absent(name("n"));
        List<Op> together = new ArrayList<>();
        together.add(Op.create(created, data(), acl(), CreateMode.PERSISTENT));
        together.add(Op.setData(area.any(), data(), -1));
        together.add(Op.check(area.any(), -1));
        if (options.get("deletes") > 0) {
            together.add(Op.delete(area.remove(), -1));
        }
        area.add(created);
        multi("multi", together);
    }

    /** Delete one and create it at once, mostly with another ACL. */
    private void recreate(Area area) {
        String path = area.any();
        List<ACL> acl = world.acls.get(random.nextInt(world.acls.size()));
        if (random.nextBoolean()) {
            multi("recreate", List.of(Op.delete(path, -1), Op.create(path, data(), acl, CreateMode.PERSISTENT)));
        } else {
            delete("recreate", path);
            create("recreate", path, CreateMode.PERSISTENT, acl, -1);
        }
    }

    /** Delete the subtree, create it, or both. */
    private void moveSubtree() {
        if (hasSubtree) {
            List<String> upwards = new ArrayList<>(subtree);
            Collections.reverse(upwards);
            if (random.nextBoolean()) {
                multi("subtree", upwards.stream().map(path -> Op.delete(path, -1)).collect(Collectors.toList()));
            } else {
                upwards.forEach(path -> delete("subtree", path));
            }
        }
        if (!hasSubtree || random.nextBoolean()) {
            subtree.forEach(path -> create("subtree", path));
            hasSubtree = true;
        } else {
            hasSubtree = false;
        }
    }

    /** Create an ephemeral, change one, delete one, or put a persistent one in its place. */
    private void moveEphemeral(Area area) {
        int choice = ephemerals.size() < 10 ? 0 : random.nextInt(8);
        if (choice < 3) {
            ephemerals.add(area.absent(name("ephemeral-")));
            create("ephemeral", ephemerals.get(ephemerals.size() - 1), CreateMode.EPHEMERAL, acl(), -1);
            return;
        }
        Collections.shuffle(ephemerals, random);
        String path = ephemerals.get(ephemerals.size() - 1);
        if (choice == 3) {
            set("ephemeral", path, -1);
            return;
        }
        delete("ephemeral", ephemerals.remove(ephemerals.size() - 1));
        if (choice == 4) {
            area.add(path);
            create("ephemeral", path);
        }
    }

    /** A container is forgotten with its last child: it goes by itself. The first of each list is the container. */
    private void moveContainer() {
        if (containers.size() < 5) {
            String path = wide.parent() + "/" + name("container-");
            create("container", path, CreateMode.CONTAINER, acl(), -1);
            containers.add(new ArrayList<>(List.of(path)));
            return;
        }
        List<String> family = containers.get(random.nextInt(containers.size()));
        if (family.size() == 1 || random.nextInt(5) < 2) {
            family.add(family.get(0) + "/" + name("n"));
            create("container", family.get(family.size() - 1));
        } else {
            delete("container", family.remove(family.size() - 1));
            if (family.size() == 1) {
                containers.remove(family);
            }
        }
    }

    private void makeQuotaAnew() {
        String quota = "/zookeeper/quota" + underQuota;
        delete("quota", quota + "/zookeeper_limits");
        delete("quota", quota + "/zookeeper_stats");
        createQuota(quota);
    }

    /** As the command setquota does. */
    private void makeQuota() {
        StringBuilder quota = new StringBuilder("/zookeeper/quota");
        for (String name : underQuota.substring(1).split("/")) {
            quota.append('/').append(name);
            create("parent", quota.toString()); // the first are there already, but for the first writer
        }
        createQuota(quota.toString());
    }

    private void createQuota(String quota) {
        create("quota", quota + "/zookeeper_limits", QUOTA, CreateMode.PERSISTENT, Ids.OPEN_ACL_UNSAFE, -1);
        create("quota", quota + "/zookeeper_stats", NO_USE, CreateMode.PERSISTENT, Ids.OPEN_ACL_UNSAFE, -1);
    }

    /** One that has to fail. */
    private void fail(Area area) {
        String kind = "failing";
        String missing = area.parent() + "/missing";
        switch (random.nextInt(6)) {
            case 0:
                set(kind, missing, -1);
                break;
            case 1:
                create(kind, missing + "/below");
                break;
            case 2:
                set(kind, area.any(), IMPOSSIBLE);
                break;
            case 3:
                create(kind, area.any());
                break;
            case 4:
                delete(kind, World.TOP);
                break;
            default:
                multi(kind, List.of(Op.setData(area.any(), data(), -1), Op.check(area.any(), IMPOSSIBLE)));
        }
    }

    private String name(String kind) {
        return kind + prefix + "-" + serial++;
    }

    /** Null, empty, mostly little, at times some KB. */
    private byte[] data() {
        int choice = random.nextInt(100);
        if (choice < 5) {
            return null;
        }
        int size = choice < 10 ? 0 : random.nextInt(choice < 95 ? 200 : 4096);
        int begin = random.nextInt(DATA.length - size);
        return Arrays.copyOfRange(DATA, begin, begin + size);
    }

    private List<ACL> acl() {
        return world.acls.get(random.nextInt(10) == 0 ? random.nextInt(world.acls.size()) : 0);
    }

    private void create(String kind, String path) {
        create(kind, path, CreateMode.PERSISTENT, acl(), -1);
    }

    private void create(String kind, String path, CreateMode mode, List<ACL> acl, long ttl) {
        create(kind, path, data(), mode, acl, ttl);
    }

    private void create(String kind, String path, byte[] data, CreateMode mode, List<ACL> acl, long ttl) {
        send(kind, done -> zookeeper.create(path, data, acl, mode,
            (Create2Callback) (code, given, context, name, stat) -> done.accept(code), null, ttl));
    }

    private void delete(String kind, String path) {
        send(kind, done -> zookeeper.delete(path, -1, (code, given, context) -> done.accept(code), null));
    }

    private void set(String kind, String path, int version) {
        send(kind, done -> zookeeper.setData(path, data(), version,
            (code, given, context, stat) -> done.accept(code), null));
    }

    private void setAcl(String kind, String path) {
        List<ACL> acl = world.acls.get(random.nextInt(world.acls.size()));
        send(kind, done -> zookeeper.setACL(path, acl, -1,
            (code, given, context, stat) -> done.accept(code), null));
    }

    private void multi(String kind, List<Op> operations) {
        send(kind, done -> zookeeper.multi(operations,
            (code, given, context, results) -> done.accept(code), null));
    }

    private void send(String kind, Consumer<IntConsumer> request) {
        pace.begin();
        request.accept(code -> {
            counts.add(kind, code);
            pace.end();
        });
    }
}

/** Sessions that come, leave ephemerals, and go with them. */
final class Churn extends Thread {
    private static final int EPHEMERALS = 5;

    private final World world;
    private final double perSecond;
    private final Random random;
    private final Counts counts;
    private final CountDownLatch ended = new CountDownLatch(1); // a session's close swallows interrupts

    Churn(World world, double perSecond, Random random, Counts counts) {
        this.world = world;
        this.perSecond = perSecond;
        this.random = random;
        this.counts = counts;
        setDaemon(true);
    }

    @Override
    public void run() {
        try {
            for (int session = 0; perSecond > 0 && ended.getCount() > 0; session++) {
                try (ZooKeeper zookeeper = world.connect()) {
                    for (int number = 0; number < EPHEMERALS; number++) {
                        create(zookeeper, "/ephemeral-churn-" + session + "-" + number);
                    }
                    ended.await((long) (1000 / perSecond), TimeUnit.MILLISECONDS);
                }
            }
        } catch (InterruptedException unwanted) {
            throw new IllegalStateException(unwanted);
        }
    }

    void end() throws InterruptedException {
        ended.countDown();
        join();
    }

    private void create(ZooKeeper zookeeper, String name) throws InterruptedException {
        List<String> parents = random.nextBoolean() ? world.hotParents : world.wideParents;
        String path = parents.get(random.nextInt(parents.size())) + name;
        try {
            zookeeper.create(path, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            counts.add("sessions", 0);
        } catch (KeeperException error) {
            counts.add("sessions", error.code().intValue());
        }
    }
}

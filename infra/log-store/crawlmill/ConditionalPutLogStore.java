package crawlmill;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.delta.storage.CloseableIterator;
import io.delta.storage.HadoopFileSystemLogStore;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.util.Iterator;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Delta commits on S3 that any number of drivers may make at once: a commit is one PUT on condition that the object is not there yet.
 *
 * <p>The log stores that Delta brings write with an unconditional PUT, so that of two drivers which commit the same version the later
 * one silently replaces the other. Here the later one is refused, Delta looks at what the other has done, and tries the next version.
 *
 * <p>A commit of a crawlmill stage names its attempt's token. It is refused here if a later attempt has taken over its shards. That this
 * is asked before each single PUT makes the fence tight without a lock: a PUT of version n follows from having seen version n - 1, so an
 * attempt that would commit after its successor asks after the successor drew its token.
 */
public final class ConditionalPutLogStore extends HadoopFileSystemLogStore {
  /** What the message of a refusal by the fence begins with; crawlmill.lake.table looks for it. */
  public static final String FENCED = "crawlmill fence: ";

  private static final String CONDITIONAL = "fs.option.create.conditional.overwrite";
  private static final ObjectMapper JSON = new ObjectMapper();

  public ConditionalPutLogStore(Configuration conf) {
    super(conf);
  }

  @Override
  public void write(Path path, Iterator<String> actions, Boolean overwrite, Configuration conf) throws IOException {
    FileSystem fs = path.getFileSystem(conf);
    StringBuilder text = new StringBuilder();
    while (actions.hasNext()) {
      String line = actions.next();
      if (line.startsWith("{\"commitInfo\"")) {
        requireHolder(fs, path, JSON.readTree(line).path("commitInfo").path("userMetadata").asText(""));
      }
      text.append(line).append('\n');
    }
    byte[] content = text.toString().getBytes(StandardCharsets.UTF_8);
    if (overwrite) {
      put(fs.create(path, true), content);
      return;
    }
    try {
      put((FSDataOutputStream) fs.createFile(path).create().overwrite(false).must(CONDITIONAL, true).build(), content);
    } catch (IOException refused) {
      if (!meansExists(refused)) {
        throw refused;
      }
      // Where the answer to a PUT was lost, its repetition meets its own object: a commit names its transaction, so equal bytes are ours.
      if (!text.toString().equals(held(path, conf))) {
        throw (IOException) new FileAlreadyExistsException(path.toString()).initCause(refused);
      }
    }
  }

  @Override
  public Boolean isPartialWriteVisible(Path path, Configuration conf) {
    return false; // an object appears whole
  }

  private static void put(FSDataOutputStream out, byte[] content) throws IOException {
    try {
      out.write(content);
    } catch (IOException broken) {
      if (out.hasCapability("fs.capability.outputstream.abortable")) {
        out.abort(); // closing would upload a part of the commit
      }
      throw broken;
    }
    out.close();
  }

  /** HTTP 412, in the words of S3A. A 409 is none: it asks for another attempt, and Delta must not take it for a foreign commit. */
  private static boolean meansExists(Throwable error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof org.apache.hadoop.fs.FileAlreadyExistsException
          || cause instanceof FileAlreadyExistsException
          || String.valueOf(cause.getMessage()).contains("Status Code: 412")) {
        return true;
      }
    }
    return false;
  }

  private String held(Path path, Configuration conf) throws IOException {
    StringBuilder text = new StringBuilder();
    CloseableIterator<String> lines = read(path, conf);
    try {
      while (lines.hasNext()) {
        text.append(lines.next()).append('\n');
      }
    } finally {
      lines.close();
    }
    return text.toString();
  }

  /** Refuse the commit of an attempt whose shards a later attempt holds (jobs/crawlmill/lake/fence.py writes the holders). */
  private static void requireHolder(FileSystem fs, Path path, String metadata) throws IOException {
    JsonNode own = metadata.startsWith("{") ? JSON.readTree(metadata) : JSON.createObjectNode();
    if (!own.has("fence") || !own.has("stage") || !own.has("snapshot")) {
      return; // no commit of a stage
    }
    String name = own.get("stage").asText() + "@" + own.get("snapshot").asText().replace("*", "all") + ".holders.json";
    Path lake = path.getParent().getParent().getParent();
    JsonNode holders;
    try (InputStream in = fs.open(new Path(lake, "_control/" + name))) {
      holders = JSON.readTree(in);
    } catch (FileNotFoundException nobody) {
      return;
    }
    for (JsonNode holder : holders) {
      if (holder.get("token").asLong() > own.get("fence").asLong() && overlap(holder.path("shards"), own.path("shards"))) {
        throw new IOException(FENCED + "attempt " + own.get("fence") + " was taken over by attempt " + holder.get("token")
            + " (run " + holder.path("run_id").asText() + ")");
      }
    }
  }

  /** Whether two sets of shards have one in common; a set that is not an array is that of all shards. */
  private static boolean overlap(JsonNode left, JsonNode right) {
    if (!left.isArray() || !right.isArray()) {
      return true;
    }
    for (JsonNode shard : left) {
      for (JsonNode other : right) {
        if (shard.asInt() == other.asInt()) {
          return true;
        }
      }
    }
    return false;
  }
}

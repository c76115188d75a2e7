import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One node: arguments are its folder and its HTTP port. */
public class Node {
    public static void main(String[] arguments) throws Exception {
        OpenSearchRunner runner = new OpenSearchRunner();
        runner.onBuild((number, settings) -> {
            settings.put("discovery.type", "single-node");
            settings.put("http.port", arguments[1]);
        });
        runner.build(OpenSearchRunner.newConfigs()
                .clusterName("letterlock-test").numOfNode(1).basePath(arguments[0]));
        Thread.currentThread().join();
    }
}

import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** A client that is built to use no proxy. */
class Ask {
    public static void main(String[] arguments) throws Exception {
        String question = "{\"model\": \"gpt-4o\", \"messages\": [{\"role\": \"user\", \"content\": \"Why?\"}]}";
        HttpRequest request = HttpRequest.newBuilder(URI.create("https://api.openai.com/v1/chat/completions"))
            .header("Authorization", "Bearer sk-test")
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(question))
            .build();
        HttpClient client = HttpClient.newBuilder().proxy(HttpClient.Builder.NO_PROXY).build();
        HttpResponse<String> reply = client.send(request, HttpResponse.BodyHandlers.ofString());
        System.out.println(reply.statusCode());
        System.exit(7);
    }
}

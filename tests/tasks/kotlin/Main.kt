// Does with a program that ships what an app would: Main.kt TASK FOLDER PICTURE MODEL; answers in JSON, or in FOLDER/mask.

import android.content.Context
import android.content.res.AssetManager
import android.graphics.Bitmap
import com.google.ai.edge.litert.JniHandle
import org.json.JSONArray
import org.json.JSONObject
import java.io.File

fun main(arguments: Array<String>) {
    val (task, folder, file, model) = arguments
    val context = Context(AssetManager(File(folder)))
    val picture = Bitmap.of(File(file))
    when (task) {
        "detection" -> Detector(context, model).use { println(it.shown(picture)) }
        "segmentation" -> Segmenter(context, model).use { println(it.written(picture, File(folder, "mask"))) }
        else -> println(classify(context, picture, model))
    }
    if (task != "classification") check(JniHandle.opened.isEmpty()) { "not all is closed" }
}

private fun Detector.shown(picture: Bitmap): JSONArray {
    val found = find(picture)
    draw(found, picture)
    val objects = found.map { each ->
        val box = each.box.run { listOf(left, top, right, bottom) }
        val corner = IntArray(1).also { picture.getPixels(it, 0, 1, box[0].toInt(), box[1].toInt(), 1, 1) }
        check(found.size > 1 || corner.single() == each.colour) { "a box is not drawn" }
        JSONObject(mapOf("name" to each.name, "score" to each.score, "box" to box, "colour" to each.colour))
    }
    return JSONArray(objects)
}

private fun Segmenter.written(picture: Bitmap, to: File): JSONObject {
    val mask = mask(picture, picture.width, picture.height)
    to.writeBytes(mask)
    val drawn = drawn(mask, picture.width, picture.height)
    val first = IntArray(1).also { drawn.getPixels(it, 0, 1, 0, 0, 1, 1) }.single()
    return JSONObject(mapOf("names" to JSONArray(names), "small" to mask(picture).size, "first" to first))
}

// Android: LiteRT's CompiledModel, from implementation("com.google.ai.edge.litert:litert:2.3.0"), with
// model.int8.tflite and preprocessing.json in the app's assets. It follows the documentation of LiteRT; it was
// not compiled or run where it was written.

import android.content.Context
import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import android.graphics.Paint
import android.graphics.Rect
import android.graphics.RectF
import com.google.ai.edge.litert.Accelerator
import com.google.ai.edge.litert.CompiledModel
import org.json.JSONArray
import org.json.JSONObject
import kotlin.math.exp
import kotlin.math.ln
import kotlin.math.max
import kotlin.math.min
import kotlin.math.roundToInt

/** Finds objects in pictures. Make one and keep it; close it in the end. */
class Detector(context: Context, private val file: String = "model.int8.tflite") : AutoCloseable {
    /** A thing that was found; the box is in pixels of the picture. */
    class Found(val name: String, val colour: Int, val score: Float, val box: RectF, internal val kind: Int)

    private val how = JSONObject(context.assets.open("preprocessing.json").bufferedReader().use { it.readText() })
    private val width = how.getJSONObject("resize").getInt("width")
    private val height = how.getJSONObject("resize").getInt("height")
    private val mean = how.getJSONArray("mean").floats()
    private val std = how.getJSONArray("std").floats()
    private val scale = how.getDouble("scale").toFloat()
    private val reading = how.getJSONObject("answer")
    private val classes = how.getJSONArray("classes").run { List(length()) { getJSONObject(it) } }
    private val quantization = how.getJSONObject("quantization").optJSONObject(file)
    private val model = CompiledModel.create(context.assets, file, CompiledModel.Options(Accelerator.CPU))
    private val inputs = model.createInputBuffers()
    private val outputs = model.createOutputBuffers()
    private val overlap = reading.getDouble("nms_iou").toFloat()
    private val most = reading.getInt("most_objects")

    /** The score from which on validation images were read best. */
    val threshold: Float = reading.getDouble("score_threshold").toFloat()

    /** What a picture shows, the surest first.
     *
     * picture: from ImageDecoder with ALLOCATOR_SOFTWARE, which turns it upright as EXIF says. */
    fun find(picture: Bitmap, least: Float = threshold): List<Found> {
        run(stretched(picture))
        val (wider, higher) = picture.width.toFloat() / width to picture.height.toFloat() / height
        val found = mutableListOf<Found>()
        for (level in 0 until outputs.size / 2) {
            val stride = reading.getInt("finest_stride") shl level
            val (columns, rows) = width / stride to height / stride
            val logits = values(2 * level)
            val sides = values(2 * level + 1)
            val bins = sides.size / (4 * rows * columns)
            for (place in 0 until rows * columns) for (kind in classes.indices) {
                val score = 1 / (1 + exp(-logits[place * classes.size + kind]))  // NHWC
                if (score < least) continue
                fun far(side: Int) = stride * distance(sides, (4 * place + side) * bins, bins)
                val x = (place % columns + 0.5f) * stride
                val y = (place / columns + 0.5f) * stride
                val box = RectF(
                    wider * max(0f, x - far(0)), higher * max(0f, y - far(1)),
                    wider * min(width.toFloat(), x + far(2)), higher * min(height.toFloat(), y + far(3)),
                )
                val colour = classes[kind].getJSONArray("colour")
                val paint = Color.rgb(colour.getInt(0), colour.getInt(1), colour.getInt(2))
                found += Found(classes[kind].getString("name"), paint, score, box, kind)
            }
        }
        val kept = mutableListOf<Found>()
        for (each in found.sortedByDescending { it.score }) {
            if (kept.size == most) break
            if (kept.none { it.kind == each.kind && iou(it.box, each.box) > overlap }) kept += each
        }
        return kept
    }

    /** Draws boxes on a picture that can be changed. */
    fun draw(found: List<Found>, picture: Bitmap) {
        val canvas = Canvas(picture)
        val pen = Paint().apply { style = Paint.Style.STROKE; strokeWidth = 4f }
        for (each in found) canvas.drawRect(each.box, pen.apply { color = each.colour })
    }

    override fun close() = model.close()

    private fun stretched(picture: Bitmap): FloatArray {
        val small = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
        Canvas(small).apply {
            drawColor(Color.WHITE)  // what is transparent is white, as in training
            val whole = Rect(0, 0, small.width, small.height)
            drawBitmap(picture, null, whole, Paint(Paint.FILTER_BITMAP_FLAG))
        }
        val pixels = IntArray(width * height).also { small.getPixels(it, 0, width, 0, 0, width, height) }
        return FloatArray(3 * pixels.size) { i ->  // NHWC, RGB
            val channel = i % 3
            ((pixels[i / 3] shr (16 - 8 * channel) and 0xff) * scale - mean[channel]) / std[channel]
        }
    }

    private fun run(image: FloatArray) {
        val quantized = quantization?.getJSONObject("input")
        if (quantized == null) {
            inputs[0].writeFloat(image)
        } else {
            val (step, zero) = quantized.getDouble("scale") to quantized.getInt("zero_point")
            inputs[0].writeInt8(ByteArray(image.size) {
                ((image[it] / step).roundToInt() + zero).coerceIn(-128, 127).toByte()
            })
        }
        model.run(inputs, outputs)
    }

    /** What an output says, in the order in which the model has them. */
    private fun values(number: Int): FloatArray {
        val quantized = quantization?.getJSONObject(if (number == 0) "output" else "output$number")
            ?: return outputs[number].readFloat()
        val (step, zero) = quantized.getDouble("scale").toFloat() to quantized.getInt("zero_point")
        val whole = outputs[number].readInt8()
        return FloatArray(whole.size) { (whole[it] - zero) * step }
    }

    /** Of a side, in strides: log(1 + exp(number)), or the mean of a distribution over 0, 1, … */
    private fun distance(sides: FloatArray, first: Int, bins: Int): Float {
        if (bins == 1) return max(sides[first], 0f) + ln(1 + exp(-kotlin.math.abs(sides[first])))
        val largest = (0 until bins).maxOf { sides[first + it] }
        var (sum, weighed) = 0f to 0f
        for (bin in 0 until bins) exp(sides[first + bin] - largest).let { sum += it; weighed += bin * it }
        return weighed / sum
    }

    private fun iou(one: RectF, other: RectF): Float {
        val wide = max(0f, min(one.right, other.right) - max(one.left, other.left))
        val both = wide * max(0f, min(one.bottom, other.bottom) - max(one.top, other.top))
        val either = one.width() * one.height() + other.width() * other.height() - both
        return if (either > 0) both / either else 0f
    }

    private fun JSONArray.floats() = FloatArray(length()) { getDouble(it).toFloat() }
}
